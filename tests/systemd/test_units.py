"""The unit files as text: what systemd says of them without running them."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples" / "postfix"
POLICYD = Path(__file__).parents[2] / "policyd"
SERVICES = sorted(EXAMPLES.glob("*.service"))
UNITS = [*SERVICES, *sorted(EXAMPLES.glob("*.socket"))]

pytestmark = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")


def analyze(*arguments: str) -> tuple[int, str]:
    done = subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout + done.stderr


def test_each_policy_daemon_has_a_service_and_a_socket() -> None:
    daemons = [path.stem for path in POLICYD.glob("[a-z]*.py")]
    wanted = {f"vaglio-{name}{ending}" for name in daemons for ending in (".service", ".socket")}
    assert {unit.name for unit in UNITS} == wanted


@pytest.mark.parametrize("service", SERVICES, ids=lambda path: path.name)
def test_a_service_is_exposed_no_more_than_1_5(service: Path) -> None:
    # The threshold is in tenths. Offline: the file is judged, not a unit that happens to be installed here.
    code, said = analyze("security", "--offline=true", "--threshold=15", "--no-pager", str(service))
    assert code == 0, said


def directives(service: Path) -> list[str]:
    """Return what a unit says, but for its descriptions, and with the daemon's name left out."""
    lines = service.read_text().replace(service.stem, "vaglio-X").splitlines()
    return [line for line in lines if re.match(r"\w+=", line) and not line.startswith("Description=")]


def test_the_sandbox_of_the_rate_limits_is_that_of_greylisting_directive_by_directive() -> None:
    assert directives(EXAMPLES / "vaglio-ratelimit.service") == directives(EXAMPLES / "vaglio-greylist.service")


def test_systemd_finds_nothing_to_say_about_the_units(tmp_path: Path) -> None:
    # Where Vaglio is not installed its program is missing; the container test verifies the files as they are.
    for unit in UNITS:
        (tmp_path / unit.name).write_text(re.sub(r"/opt/vaglio/bin/vaglio-\w+", "/bin/true", unit.read_text()))
    _, said = analyze("verify", "--man=no", *(str(tmp_path / unit.name) for unit in UNITS))
    # It also speaks of the machine's other units; unknown keys and bad values leave its exit status at 0.
    about_ours = [line for line in said.splitlines() if any(unit.name in line for unit in UNITS)]
    assert about_ours == []
