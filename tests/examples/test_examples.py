"""Every shipped example is read by the program it is meant for."""

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from lab import containers, submission
from vaglio.cli.main import main
from vaglio.config.load import load

EXAMPLES = Path(__file__).parents[2] / "examples"
KNOWN = {".toml", ".mc", ".dnsbl", ".greylist", ".ratelimit", ".submission", ".milters", ".service", ".socket",
         ".timer", ".conf", ".sysusers", ".sieve", ""}  # fmt: skip
MAIN_CF = sorted(EXAMPLES.rglob("main.cf.*"))
RESTRICTIONS = [path for path in MAIN_CF if path.suffix != ".milters"]
MILTERS = EXAMPLES / "postfix/main.cf.milters"
MASTER_CF = sorted(EXAMPLES.rglob("master.cf.*"))

needs_postfix = pytest.mark.skipif(not shutil.which("postconf"), reason="Postfix is not installed")
needs_systemd = pytest.mark.skipif(not shutil.which("systemd-sysusers"), reason="systemd-sysusers is not installed")


def name(path: Path) -> str:
    return path.name


def as_shipped(text: str) -> str:
    return text


def with_alternatives(text: str) -> str:
    """The other way: lines that are commented out replace those of the same name; a blank ends such a block."""
    alternatives = re.findall(r"^#(\w+ =.*(?:\n#    .*)*)", text, re.MULTILINE)
    assert alternatives
    replaced = {alternative.split(" =")[0] for alternative in alternatives}
    kept = [line for line in text.splitlines() if line.split(" =")[0] not in replaced]
    lines = [*kept, *(re.sub("^#", "", alternative, flags=re.MULTILINE) for alternative in alternatives), ""]
    used = set(re.findall(r"\$(\w+)", "\n".join(lines)))
    return "\n".join(line for line in lines if not line.startswith("vaglio_") or line.split(" =")[0] in used)


def postconf(directory: Path, *arguments: str) -> str:
    done = subprocess.run(["postconf", "-c", str(directory), *arguments], capture_output=True, text=True, timeout=30,
                          check=False)  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_every_example_is_of_a_kind_that_is_tested() -> None:
    unknown = [path.name for path in EXAMPLES.rglob("*") if path.is_file() and path.suffix not in KNOWN]
    assert unknown == []
    assert [path.name for path in EXAMPLES.rglob("*") if path.is_file() and not path.suffix] == ["Containerfile"]


@pytest.mark.parametrize("path", sorted(EXAMPLES.rglob("*.toml")), ids=name)
def test_a_configuration_is_accepted(path: Path) -> None:
    assert load(path, {}).path == path


@needs_postfix
@pytest.mark.parametrize("variant", [as_shipped, with_alternatives])
@pytest.mark.parametrize("path", MAIN_CF, ids=name)
def test_postfix_reads_the_main_cf_lines_without_a_warning(
    tmp_path: Path, path: Path, variant: Callable[[str], str]
) -> None:
    lines = variant(path.read_text())
    (tmp_path / "main.cf").write_text(f"compatibility_level = 3.6\n{lines}")
    (tmp_path / "master.cf").write_text("smtp inet n - y - - smtpd\n")
    set_names = set(re.findall(r"^(\w+) =", lines, re.MULTILINE))
    shown = postconf(tmp_path, "-n", "-x")
    assert set_names <= set(re.findall(r"^(\w+) =", shown, re.MULTILINE))
    assert re.search("check_policy_service { |^smtpd_milters = { unix:vaglio/", shown, re.MULTILINE)


@needs_postfix
@pytest.mark.parametrize("variant", [as_shipped, with_alternatives])
def test_each_milter_says_itself_what_becomes_of_mail_without_it(tmp_path: Path, variant: Callable[[str], str]) -> None:
    """What Postfix does by itself depends on its version."""
    lines = variant(MILTERS.read_text())
    (tmp_path / "main.cf").write_text(f"compatibility_level = 3.6\n{lines}")
    (tmp_path / "master.cf").touch()
    for list_, default in (("smtpd_milters", "accept"), ("non_smtpd_milters", "tempfail")):
        found = postconf(tmp_path, "-x", "-h", list_)
        milter = (r"\{ unix:vaglio/[\w-]+\.sock, connect_timeout=\d+s, command_timeout=\d+s, "
                  rf"content_timeout=\d+s, default_action={default} \}}")  # fmt: skip
        assert re.fullmatch(rf"{milter}(, {milter})*\n", found)


@needs_postfix
def test_the_milter_lines_are_those_that_postconf_prints(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    listen = "".join(
        f'[{section}]\nlisten = ["unix:/var/spool/postfix/vaglio/{file}.sock"]\n'
        for section, file in (("spf", "spf"), ("dkim.verify", "dkim-verify"), ("score", "score"), ("tag", "tag"),
                              ("dkim.sign", "dkim-sign"), ("chain.inbound", "inbound"), ("chain.outbound", "outbound"))
    )  # fmt: skip
    (tmp_path / "vaglio.toml").write_text(listen)
    chains, singles = ["chain.inbound", "chain.outbound"], ["spf", "dkim.verify", "score", "tag", "dkim.sign"]
    ports = MILTERS.with_name("master.cf.milters").read_text()
    for variant, milters in ((as_shipped, chains), (with_alternatives, singles)):
        shipped = variant(MILTERS.read_text())
        assert main(["postconf", *milters, "--config", str(tmp_path / "vaglio.toml")]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert {line for line in lines if not line.startswith("#")} <= set(shipped.splitlines())
        (option,) = [line.removeprefix("#  ") for line in lines if line.startswith("#  -o ")]
        assert ports.count(option) == (2 if milters == chains else 1)  # of each port; the other way in its comment


@needs_postfix
@pytest.mark.parametrize("path", RESTRICTIONS, ids=name)
def test_mail_is_asked_about_last_blocklists_first_and_own_mail_never(tmp_path: Path, path: Path) -> None:
    (tmp_path / "main.cf").write_text(path.read_text())
    (tmp_path / "master.cf").touch()
    order = postconf(tmp_path, "-h", "smtpd_recipient_restrictions").split()
    places = [order.index(word) for word in ("permit_mynetworks", "permit_sasl_authenticated",
                                             "reject_unauth_destination", "check_policy_service")]  # fmt: skip
    assert places == sorted(places)
    greylist, both = ["$vaglio_greylist"], ["$vaglio_dnsbl", "$vaglio_greylist"]
    services = {".greylist": greylist, ".dnsbl": both}[path.suffix]
    assert order[places[-1] :] == [word for name in services for word in ("check_policy_service", name)]


@needs_postfix
@pytest.mark.parametrize("path", MASTER_CF, ids=name)
def test_postfix_reads_the_master_cf_lines_without_a_warning(tmp_path: Path, path: Path) -> None:
    milters = MILTERS.read_text() if path.suffix == ".milters" else ""
    (tmp_path / "main.cf").write_text(f"compatibility_level = 3.6\n{milters}")
    (tmp_path / "master.cf").write_text(path.read_text())
    services = postconf(tmp_path, "-M").splitlines()
    assert [service.split()[0] for service in services] == ["submission", "submissions"]
    assert all("-o smtpd_recipient_restrictions= " in service for service in services)
    if path.suffix == ".milters":
        assert all("-o smtpd_milters=$vaglio_outbound" in service for service in services)


@needs_postfix
@pytest.mark.parametrize("about_recipients", [False, True])
def test_submission_asks_for_limits_at_the_end_of_the_message_and_about_recipients_on_demand(
    tmp_path: Path, about_recipients: bool
) -> None:
    text = submission.EXAMPLE.read_text()
    (tmp_path / "main.cf").write_text("compatibility_level = 3.6\n")
    (tmp_path / "master.cf").write_text(submission.asking_about_recipients(text) if about_recipients else text)
    said = dict(line.split(" =", 1) for line in postconf(tmp_path, "-P").splitlines())
    wait = "timeout=10s, try_limit=2, retry_delay=1s, default_action=DUNNO"
    asked = f" check_policy_service {{ inet:127.0.0.1:10026, {wait} }}"
    for service in ("submission", "submissions"):
        assert said[f"{service}/inet/smtpd_end_of_data_restrictions"] == asked
        assert said[f"{service}/inet/smtpd_recipient_restrictions"] == (asked if about_recipients else "")
        assert said[f"{service}/inet/smtpd_sasl_auth_enable"] == " yes"


@needs_systemd
@pytest.mark.parametrize("path", sorted(EXAMPLES.rglob("*.sysusers")), ids=name)
def test_the_user_is_made_as_described(tmp_path: Path, path: Path) -> None:
    (tmp_path / "etc").mkdir()
    done = subprocess.run(["systemd-sysusers", f"--root={tmp_path}", str(path)], capture_output=True, text=True,
                          timeout=30, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert re.search(r"^vaglio:.*:/var/lib/vaglio:", (tmp_path / "etc/passwd").read_text(), re.MULTILINE)


@pytest.mark.root
def test_the_containerfile_builds_the_daemons_alone() -> None:
    if reason := containers.skip_reason():
        pytest.skip(reason)
    image = containers.build("vaglio")
    for daemon in ("vaglio-greylist", "vaglio-dnsbl", "vaglio-ratelimit", "vaglio-spf", "vaglio-dkim-verify",
                   "vaglio-dkim-sign", "vaglio-score", "vaglio-tag", "vaglio-chain"):  # fmt: skip
        said = containers.podman("run", "--rm", "--network=none", image, f"/opt/vaglio/bin/{daemon}", "--version")
        assert re.search(rf"{daemon} \d+\.\d+", said)
