# Sourced by the scripts beside it, never executed: what they all need before they can begin.
#
#   need_packages NAME...   Debian packages that it does not work without: says which are missing, installs them.
#   want_packages NAME...   the same for packages that it can do without: installs what it can, never fails.
#   $basics                 the packages that .venv takes: need_packages $basics ... (libmilter's is compiled there).
#   need_venv               .venv with this checkout installed in it, renewed when setup.cfg changed.
#   as_root COMMAND...      run as root, by sudo if need be; exec_as_root becomes that command, signals and all.
#
# What the tools say goes to .cache/setup.log; its end is shown when something fails.

cd "$(dirname "$0")/.."
mkdir -p .cache
log=.cache/setup.log
basics="python3 python3-venv python3-dev ca-certificates gcc libc6-dev libmilter-dev"
: >"$log"
export PIP_CACHE_DIR="$PWD/.cache/pip" PIP_DISABLE_PIP_VERSION_CHECK=1 DEBIAN_FRONTEND=noninteractive

say() { printf '%s\n' "$*"; }
fail() { say "$0: $*" >&2; exit 1; }

logged() {
    "$@" >>"$log" 2>&1 && return
    tail -n 25 "$log" >&2
    fail "failed: $* (all of it is in $log)"
}

can_be_root() { [ "$(id -u)" = 0 ] || command -v sudo >/dev/null; }

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo env DEBIAN_FRONTEND=noninteractive "$@"; fi
}

exec_as_root() {
    if [ "$(id -u)" = 0 ]; then exec "$@"; else exec sudo "$@"; fi
}

missing_of() {
    for package; do
        dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || printf '%s ' "$package"
    done
}

removed_by() { apt-get -s install --no-install-recommends "$@" 2>/dev/null | sed -n 's/^Remv \([^ ]*\).*/\1/p' | xargs; }

# Packages must not start services: a mail server that listens is not what anybody asked for.
install_quietly() (
    policy=/usr/sbin/policy-rc.d
    if [ ! -e $policy ]; then
        trap 'as_root rm -f $policy' EXIT
        trap 'exit 130' INT
        trap 'exit 143' TERM
        printf '#!/bin/sh\nexit 101\n' | as_root tee $policy >/dev/null
        as_root chmod 755 $policy
    fi
    case " $* " in
    *' postfix '*) echo 'postfix postfix/main_mailer_type select No configuration' | as_root debconf-set-selections ;;
    esac
    case " $* " in
    *' postgresql '*) # without a database of the system's own: nobody asked for that either
        as_root apt-get install -y --no-install-recommends postgresql-common
        as_root sed -i 's/^#* *create_main_cluster *=.*/create_main_cluster = false/' \
            /etc/postgresql-common/createcluster.conf
        ;;
    esac
    as_root apt-get install -y --no-install-recommends "$@"
)

need_packages() {
    missing=$(missing_of "$@")
    [ "$missing" ] || return 0
    say "Debian packages to be installed: $missing"
    can_be_root || fail "that takes root: install them yourself, or run this as root or with sudo installed"
    logged as_root apt-get update
    # shellcheck disable=SC2086  # a list of words, here and below
    removed=$(removed_by $missing)
    [ -z "$removed" ] || fail "not installed, since Debian would REMOVE $removed for it: decide that yourself," \
        "or use a machine or container that nobody needs"
    # shellcheck disable=SC2086
    logged install_quietly $missing
}

want_packages() {
    missing=$(missing_of "$@")
    [ "$missing" ] && can_be_root || return 0
    available=
    for package in $missing; do
        apt-cache show "$package" >/dev/null 2>&1 && [ -z "$(removed_by "$package")" ] && available="$available $package"
    done
    [ "$available" ] || return 0
    say "More Debian packages to be installed:$available"
    # shellcheck disable=SC2086
    install_quietly $available >>"$log" 2>&1 || say "(that did not work; see $log; what needs them will be left out)"
}

need_venv() {
    python=${PYTHON:-python3}
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        fail "$("$python" --version) is too old: Python 3.11 or later is needed (PYTHON=/path/to/python3 names one)"
    state="$(cat setup.cfg pyproject.toml | cksum) $("$python" --version)"
    [ "$(cat .venv/installed 2>/dev/null)" = "$state" ] && .venv/bin/python -c 'import vaglio' 2>/dev/null && return
    say "Setting up the virtual environment .venv ..."
    logged "$python" -m venv --clear .venv # what another Python left there would be loaded by this one
    # GCC 15 reads C as of 2023, which libmilter's header is not.
    logged env CFLAGS="${CFLAGS-} -std=gnu17" .venv/bin/pip install -e '.[dev,libmilter]'
    printf '%s\n' "$state" >.venv/installed
}
