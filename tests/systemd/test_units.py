"""The unit files as text: what systemd says of them without running them."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples" / "postfix"
ROOT = EXAMPLES.parents[1]
SERVICES = sorted(EXAMPLES.glob("*.service"))
UNITS = [*SERVICES, *sorted(EXAMPLES.glob("*.socket")), *sorted(EXAMPLES.glob("*.timer"))]
BY_TIMER = {"vaglio-dkim-rotate.service", "vaglio-dkim-rotate.timer"}
"""What is no daemon."""

pytestmark = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")


def analyze(*arguments: str) -> tuple[int, str]:
    done = subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout + done.stderr


def test_each_daemon_has_a_service_and_a_socket_chains_by_their_name() -> None:
    files = [path for folder in ("policyd", "milters") for path in (ROOT / folder).glob("[a-z]*.py")]
    names = [re.findall(r"vaglio-[a-z-]+", path.read_text())[0] for path in files]
    daemons = ["vaglio-chain@" if name == "vaglio-chain" else name for name in names]
    wanted = {f"{name}{ending}" for name in daemons for ending in (".service", ".socket")}
    assert {unit.name for unit in UNITS} == wanted | BY_TIMER


@pytest.mark.parametrize("service", SERVICES, ids=lambda path: path.name)
def test_a_service_is_exposed_no_more_than_1_5(tmp_path: Path, service: Path) -> None:
    unit = tmp_path / instance(service.name)
    unit.write_text(service.read_text())
    # The threshold is in tenths. Offline: the file is judged, not a unit that happens to be installed here.
    code, said = analyze("security", "--offline=true", "--threshold=15", "--no-pager", str(unit))
    assert code == 0, said


def instance(name: str) -> str:
    """Return the name of a unit of this template, or of this unit."""
    return name.replace("@.", "@inbound.")


def directives(service: Path) -> list[str]:
    """Return what a unit says, but for its descriptions, and with the daemon's name left out."""
    lines = service.read_text().replace(service.stem.removesuffix("@"), "vaglio-X").splitlines()
    left_out = ("Description=", "DefaultInstance=")
    return [line for line in lines if re.match(r"\w+=", line) and not line.startswith(left_out)]


def test_the_sandbox_of_the_rate_limits_is_that_of_greylisting_directive_by_directive() -> None:
    assert directives(EXAMPLES / "vaglio-ratelimit.service") == directives(EXAMPLES / "vaglio-greylist.service")


@pytest.mark.parametrize("milter", ["spf", "dkim-verify", "dkim-sign", "score", "tag", "chain@"])
def test_the_sandbox_of_a_milter_is_that_of_blocklists_directive_by_directive(milter: str) -> None:
    """That of greylisting, but for addresses: both ask name servers, wherever these are."""
    wanted = directives(EXAMPLES / "vaglio-dnsbl.service")
    found = [line.removesuffix(" %i").replace(" sendmail.service", "")
             for line in directives(EXAMPLES / f"vaglio-{milter}.service")]  # fmt: skip
    assert found == wanted
    greylist = directives(EXAMPLES / "vaglio-greylist.service")
    without = ("IPAddress", "After=")
    assert [line for line in wanted if not line.startswith(without)] == [
        line for line in greylist if not line.startswith(without)
    ]


def test_the_sandbox_of_the_command_for_keys_is_that_of_who_signs() -> None:
    """It is root all the same, who owns the keys, and it writes where they are."""
    daemon, command = (set(directives(EXAMPLES / f"vaglio-dkim-{name}.service")) for name in ("sign", "rotate"))
    assert {line for line in command - daemon if not line.startswith("ExecStart=")} == {
        "After=network-online.target nss-lookup.target", "Wants=network-online.target",
        "Type=oneshot", "TimeoutStartSec=15min", "User=root", "ReadWritePaths=/etc/vaglio",
    }  # fmt: skip
    left_out = ("After=", "Before=", "Type=", "Exec", "WatchdogSec=", "KillMode=", "TimeoutStopSec=", "Restart",
                "User=", "State", "Runtime", "WantedBy=")  # fmt: skip
    kept = ("RestrictAddressFamilies=", "RestrictSUIDSGID=", "RestrictNamespaces=", "RestrictRealtime=")
    assert {line for line in daemon - command if not line.startswith(left_out) or line.startswith(kept)} == set()


def test_systemd_finds_nothing_to_say_about_the_units(tmp_path: Path) -> None:
    # Where Vaglio is not installed its program is missing; the container test verifies the files as they are.
    for unit in UNITS:
        text = re.sub(r"/opt/vaglio/bin/vaglio[\w-]*", "/bin/true", unit.read_text())
        (tmp_path / instance(unit.name)).write_text(text)
    _, said = analyze("verify", "--man=no", *(str(tmp_path / instance(unit.name)) for unit in UNITS))
    # It also speaks of the machine's other units; unknown keys and bad values leave its exit status at 0.
    about_ours = [line for line in said.splitlines() if any(instance(unit.name) in line for unit in UNITS)]
    assert about_ours == []
