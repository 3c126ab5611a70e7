"""Containers for the tests: podman with a store of its own in ``.cache/containers``, and no image registry.

The base image is made by mmdebstrap from this machine's own apt sources; the images on top of it are those of
``examples/postfix/Containerfile``. They are kept between runs, so that only the first one is slow. A container lives in
the network of a ``Space``, hence nothing of the machine's firewall or routes is touched.

Not here: Docker, rootless podman, images of other people. Where podman can't run, ``skip_reason`` says why; where it
can, a failure is a LabError.
"""

from __future__ import annotations

import atexit
import fcntl
import functools
import itertools
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from lab.space import Space
from lab.waiting import LabError, until

CHECKOUT = Path(__file__).resolve().parents[1]
HOME = CHECKOUT / ".cache" / "containers"
CONTAINERFILE = CHECKOUT / "examples" / "postfix" / "Containerfile"

# Explicit limits and cgroupfs: podman's defaults raise limits, which a machine without CAP_SYS_RESOURCE refuses.
_CONTAINERS_CONF = """\
[containers]
default_ulimits = ["nofile=4096:8192", "nproc=8192:16384"]
log_driver = "k8s-file"
[engine]
runtime = "{runtime}"
cgroup_manager = "cgroupfs"
events_logger = "none"
lock_type = "file"
tmp_dir = "{home}/tmp"
image_copy_tmp_dir = "storage"
[network]
network_backend = "netavark"
network_config_dir = "{home}/networks"
"""
_STORAGE_CONF = """\
[storage]
driver = "overlay"
graphroot = "{home}/store"
runroot = "{home}/run"
"""
# What podman writes elsewhere, whatever its settings say: deepest first.
_TRACES = (
    "var/lib/containers/cache/blob-info-cache-v1.*", "var/lib/containers/cache", "var/lib/containers",
    "run/containers/networks", "run/containers", "run/runc",
    "sys/fs/cgroup/*/libpod_parent/conmon", "sys/fs/cgroup/*/libpod_parent",
    "sys/fs/cgroup/libpod_parent/conmon", "sys/fs/cgroup/libpod_parent",
)  # fmt: skip
_OWNER = "vaglio.owner"  # label: the process that started the container
_numbers = itertools.count(1)


@functools.cache
def skip_reason() -> str:
    """Return why there can be no containers here, empty when there can. The first call tries (0.3 s)."""
    if os.geteuid() != 0:
        return "containers need root"
    missing = [tool for tool in ("podman", "mmdebstrap", "nsenter") if not shutil.which(tool)]
    if not _runtime():
        missing.append("runc")
    if missing:
        return f"not installed: {', '.join(missing)}"
    try:
        with _alone():
            _try_one()
    except (LabError, OSError) as error:
        return f"podman does not run here: {error}"
    return ""


def build(target: str) -> str:
    """Build ``target`` of the Containerfile, and the base image if need be; return its name. LabError if it fails."""
    with _alone():
        base = _base()
        # The stage that pip works in gets a name too: else `prune` takes it for waste and the next run fetches again.
        names = [_build(stage, base) for stage in ("build", target)]
        podman("image", "prune", "--force")
    return names[-1]


def build_own(containerfile: Path, name: str) -> str:
    """Build an image of a test's own, from the base image BASE and from BUILD, which has /opt/vaglio; return its name.
    LabError if it fails.
    """
    made = build("build")
    with _alone():
        image = f"localhost/vaglio-{name}:{made.rpartition(':')[2]}"
        podman("build", f"--file={containerfile}", f"--tag={image}", f"--build-arg=BASE={_base()}",
               f"--build-arg=BUILD={made}", "--pull=never", "--network=host", "--layers", str(CHECKOUT),
               timeout=300)  # fmt: skip
    return image


def podman(*arguments: str, timeout: float = 60) -> str:
    """Run podman on the private store; return what it printed. LabError if it fails."""
    argv = ["podman", *arguments]
    done = subprocess.run(argv, env=_environment(), capture_output=True, text=True, timeout=timeout, check=False)
    if done.returncode:
        raise LabError(f"podman {arguments[0]}: {_last_lines(done.stderr) or done.returncode}")
    return done.stdout


@dataclass(frozen=True, slots=True)
class Container:
    """A running container; leaving the ``with`` block removes it. ``pid`` is its first process, seen from here."""

    name: str
    pid: int

    def __enter__(self) -> Container:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.remove()

    @property
    def root(self) -> Path:
        """The container's file system, seen from here."""
        return Path(f"/proc/{self.pid}/root")

    def exec(self, *argv: str, check: bool = True, timeout: float = 90) -> str:
        """Run ``argv`` inside; return what it printed, stripped. LabError if it failed and ``check`` is set."""
        done = subprocess.run(
            ["podman", "exec", self.name, *argv], env=_environment(), timeout=timeout, check=False, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        if check and done.returncode:
            raise LabError(f"{' '.join(argv)}: exit {done.returncode}: {done.stdout.strip()}")
        return done.stdout.strip()

    def logs(self) -> str:
        """Return what the container printed so far."""
        return podman("logs", self.name)

    def remove(self) -> None:
        """Kill and delete the container; one that is gone already is no error."""
        _remove(self.name)


def run(image: str, space: Space, *options: str) -> Container:
    """Start ``image`` in the background, in the network of ``space``. LabError if it fails."""
    name = f"vaglio-{os.getpid()}-{next(_numbers)}"
    podman("run", "--detach", f"--name={name}", f"--label={_OWNER}={os.getpid()}", f"--network=ns:{space.network}",
           *options, image)  # fmt: skip
    with ExitStack() as undo:
        undo.callback(_remove, name)
        container = Container(name, int(podman("inspect", "--format={{.State.Pid}}", name)))
        undo.pop_all()
    return container


def run_systemd(image: str, space: Space, *options: str) -> Container:
    """Start ``image`` with systemd as its first process, and wait until it has booted. LabError if it fails."""
    # What a sandboxed unit needs to build its own namespaces; nothing of the machine is lent to the container.
    rights = ("--cap-add=SYS_ADMIN,SYS_PTRACE,NET_ADMIN", "--security-opt=seccomp=unconfined",
              "--security-opt=unmask=ALL")  # fmt: skip
    container = run(image, space, "--systemd=always", *rights, *options)
    with ExitStack() as undo:
        undo.callback(container.remove)
        until((container.root / "run/systemd/private").exists, f"systemd in {container.name}")
        container.exec("systemctl", "is-system-running", "--wait", check=False, timeout=180)
        undo.pop_all()
    return container


def _remove(name: str) -> None:
    podman("rm", "--force", "--ignore", "--volumes", "--time=0", name)


# --- the private store ---


@contextmanager
def _alone() -> Iterator[None]:
    """Keep other processes that use the store from building in it, or from clearing it up, meanwhile."""
    HOME.mkdir(parents=True, exist_ok=True)
    with (HOME / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _runtime() -> str:
    """Prefer runc: crun refuses machines that mix both cgroup versions."""
    return next((name for name in ("runc", "crun") if shutil.which(name)), "")


@functools.cache
def _environment() -> dict[str, str]:
    """Write the private settings; return the environment in which podman reads them and nothing else."""
    HOME.mkdir(parents=True, exist_ok=True)
    (HOME / "scratch").mkdir(exist_ok=True)
    _forget_last_boot()
    atexit.register(_tidy, frozenset(_traces()))
    (HOME / "containers.conf").write_text(_CONTAINERS_CONF.format(home=HOME, runtime=_runtime()))
    (HOME / "storage.conf").write_text(_STORAGE_CONF.format(home=HOME))
    return os.environ | {
        "CONTAINERS_CONF": str(HOME / "containers.conf"),
        "CONTAINERS_STORAGE_CONF": str(HOME / "storage.conf"),
        "TMPDIR": str(HOME / "scratch"),
    }


def _forget_last_boot() -> None:
    """Drop the run-time state of an earlier boot, which podman expects on a file system that a boot empties."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text()
    stamp = HOME / "boot"
    if not stamp.exists() or stamp.read_text() != boot:
        shutil.rmtree(HOME / "run", ignore_errors=True)
        shutil.rmtree(HOME / "tmp", ignore_errors=True)
        stamp.write_text(boot)


def _traces() -> list[Path]:
    return [path for pattern in _TRACES for path in Path("/").glob(pattern)]


def _tidy(there_before: frozenset[Path]) -> None:
    """Remove podman's traces that are new; a directory that somebody else put something into stays."""
    for path in _traces():
        if path not in there_before:
            with suppress(OSError):
                path.rmdir() if path.is_dir() else path.unlink()


def _try_one() -> None:
    """Run ``true`` of this machine in a container without an image; clear away what a killed run left."""
    root = HOME / "trial"
    (root / "usr").mkdir(parents=True, exist_ok=True)
    for name in ("bin", "lib", "lib64"):
        if not (root / name).is_symlink():
            (root / name).symlink_to(f"usr/{name}")
    _remove_orphans()
    podman("run", "--rm", "--network=none", "--volume=/usr:/usr:ro", "--rootfs", str(root), "true")


def _remove_orphans() -> None:
    template = f'{{{{.Names}}}} {{{{index .Labels "{_OWNER}"}}}}'
    for line in podman("ps", "--all", f"--filter=label={_OWNER}", f"--format={template}").splitlines():
        name, owner = line.split()
        if not Path(f"/proc/{owner}").exists():
            _remove(name)


# --- images ---


def _base() -> str:
    """Return the name of a minimal image of this machine's own release; make it (25 s) where it is not there."""
    release = _release()
    name = f"localhost/vaglio-base:{release}"
    if not podman("images", "--quiet", name):
        sources = [str(path) for path in _apt_sources()]
        make = ["mmdebstrap", "--quiet", "--variant=minbase", "--include=ca-certificates", release, "-", *sources]
        with subprocess.Popen(make, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=_environment()) as tar:
            load = subprocess.run(
                ["podman", "import", "--quiet", "-", name], stdin=tar.stdout, env=_environment(),
                capture_output=True, text=True, timeout=300, check=False,
            )  # fmt: skip
            complaint = tar.communicate()[1].decode(errors="replace")
        if tar.returncode or load.returncode:
            podman("rmi", "--force", "--ignore", name)
            raise LabError(f"no base image: {_last_lines(complaint) or _last_lines(load.stderr)}")
    return name


def _release() -> str:
    """Return the code name of the running Debian or Ubuntu."""
    match = re.search(r"^VERSION_CODENAME=(\w+)", Path("/etc/os-release").read_text(), re.MULTILINE)
    if not match:
        raise LabError("/etc/os-release names no release")
    return match[1]


def _apt_sources() -> list[Path]:
    """Return the files with the distribution's own package sources; other people's are left out."""
    places = [Path("/etc/apt/sources.list.d") / f"{name}.sources" for name in ("debian", "ubuntu")]
    found = [path for path in places if path.exists()] or [Path("/etc/apt/sources.list")]
    if not found[0].exists():
        raise LabError("no apt sources of Debian or Ubuntu")
    return found


def _build(target: str, base: str) -> str:
    name = f"localhost/vaglio-{target}:{base.rpartition(':')[2]}"
    podman("build", f"--file={CONTAINERFILE}", f"--target={target}", f"--tag={name}", f"--build-arg=BASE={base}",
           "--pull=never", "--network=host", "--layers", *_pip_settings(), str(CHECKOUT), timeout=300)  # fmt: skip
    return name


def _pip_settings() -> list[str]:
    """Lend pip inside the build what the environment says about this machine's way to the package index."""
    lines = ["[global]"]
    mounts = []
    if bundle := os.environ.get("PIP_CERT") or os.environ.get("SSL_CERT_FILE"):
        mounts.append(f"--volume={bundle}:/run/ca.crt:ro")
        lines.append("cert = /run/ca.crt")
    if index := os.environ.get("PIP_INDEX_URL"):
        lines.append(f"index-url = {index}")
    (HOME / "pip.conf").write_text("\n".join([*lines, ""]))
    return [*mounts, f"--volume={HOME / 'pip.conf'}:/etc/pip.conf:ro"] if lines[1:] else []


# --- output ---


def _last_lines(text: str, count: int = 3) -> str:
    """Return the end of ``text``, where programs say what went wrong, in one line."""
    return " / ".join(line.strip() for line in text.strip().splitlines()[-count:])
