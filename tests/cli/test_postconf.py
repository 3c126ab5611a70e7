"""``vaglio postconf``: what Postfix itself makes of the lines."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from vaglio.cli.postconf import endpoint

Host = Any  # of conftest.py
needs_postfix = pytest.mark.skipif(not shutil.which("postconf"), reason="Postfix is not installed")


def postfix_reads(directory: Path, lines: str) -> dict[str, str]:
    """Return the parameters as Postfix expands them; it must have nothing to complain of."""
    (directory / "main.cf").write_text(f"compatibility_level = 3.6\nmyhostname = mail.caio.it\n{lines}")
    (directory / "master.cf").write_text("smtp inet n - y - - smtpd\n")
    os.utime(directory / "main.cf", (0, 0))  # Postfix waits for a file that was written just now to be whole
    done = subprocess.run(["postconf", "-n", "-x", "-c", str(directory)], capture_output=True, text=True, timeout=30,
                          check=False)  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return {name: value for name, _, value in (line.partition(" = ") for line in done.stdout.splitlines())}


@needs_postfix
@pytest.mark.parametrize(
    ("settings", "service"),
    [
        ("", "inet:127.0.0.1:10023, timeout=10s, try_limit=2, retry_delay=1s, default_action=DUNNO"),
        ('listen = ["inet:[::1]:10023"]\ndeadline = "9s"', "inet:[::1]:10023, timeout=14s, "),
        ('listen = ["unix:/var/spool/postfix/vaglio/greylist.sock"]', "unix:vaglio/greylist.sock, timeout=10s, "),
        ('on_error = "defer"', "inet:127.0.0.1:10023, timeout=10s, try_limit=2, retry_delay=1s, "
                               "default_action=DEFER_IF_PERMIT }"),
    ],
)
def test_postfix_reads_the_lines_without_a_warning(host: Host, tmp_path: Path, settings: str, service: str) -> None:
    host.configure(settings)
    found = postfix_reads(tmp_path, host.fine("postconf"))["smtpd_recipient_restrictions"]
    before = "permit_mynetworks permit_sasl_authenticated reject_unauth_destination reject_unlisted_recipient"
    assert found.startswith(f"{before} check_policy_service {{ {service}")


@needs_postfix
def test_bounces_are_asked_at_data_when_so_set(host: Host, tmp_path: Path) -> None:
    assert "smtpd_data_restrictions" not in host.fine("postconf")
    host.configure('null_sender = "data"')
    found = postfix_reads(tmp_path, host.fine("postconf"))["smtpd_data_restrictions"]
    assert re.search(r"reject_unauth_pipelining check_policy_service \{ inet:127\.0\.0\.1:10023, .* \}$", found)


BOTH = ["check_policy_service $vaglio_dnsbl", "check_policy_service $vaglio_greylist"]


@pytest.mark.parametrize(
    ("words", "text", "services"),
    [
        ((), "", [BOTH[1]]),
        ((), "[greylist]\n[dnsbl]", BOTH),
        ((), "[dnsbl]", [BOTH[0]]),
        ((), "[greylist]", [BOTH[1]]),
        ((), '[identity]\nhostname = "mail.caio.it"', [BOTH[1]]),
        (("greylist", "dnsbl"), "", BOTH),
        (("vaglio-dnsbl",), "[greylist]", [BOTH[0]]),
    ],
)
def test_the_daemons_of_the_configuration_are_wired_blocklists_first(
    host: Host, words: tuple[str, ...], text: str, services: list[str]
) -> None:
    host.config.write_text(text)
    document = host.json("postconf", *words)
    assert [entry for entry in document["smtpd_recipient_restrictions"] if "policy" in entry] == services
    assert [f"check_policy_service ${name}" for name in document if name.startswith("vaglio_")] == services


@needs_postfix
def test_postfix_reads_the_lines_of_both_daemons_without_a_warning(host: Host, tmp_path: Path) -> None:
    host.configure('null_sender = "data"\n[dnsbl]\non_error = "defer"\ndeadline = "6s"')
    found = postfix_reads(tmp_path, host.fine("postconf"))
    assert found["smtpd_recipient_restrictions"].endswith(
        "check_policy_service { inet:127.0.0.1:10024, timeout=11s, try_limit=2, retry_delay=1s, "
        "default_action=DEFER_IF_PERMIT } "
        "check_policy_service { inet:127.0.0.1:10023, timeout=10s, try_limit=2, retry_delay=1s, default_action=DUNNO }"
    )
    assert found["smtpd_data_restrictions"].count("check_policy_service") == 1


@needs_postfix
def test_postfix_reads_the_lines_of_blocklists_alone_without_a_warning(host: Host, tmp_path: Path) -> None:
    found = postfix_reads(tmp_path, host.fine("postconf", "dnsbl"))["smtpd_recipient_restrictions"]
    assert "reject_unauth_destination reject_unlisted_recipient check_policy_service { inet:127.0.0.1:10024, " in found
    assert found.count("check_policy_service") == 1


def test_what_is_not_in_the_configuration_is_printed_as_comments(host: Host) -> None:
    host.config.write_text("[greylist]\n")
    lines = host.fine("postconf").splitlines()
    (idle,) = [line for line in lines if line.startswith("# vaglio_dnsbl = { inet:127.0.0.1:10024, ")]
    assert lines[-4:-2] == [
        "#   check_policy_service $vaglio_dnsbl", "    check_policy_service $vaglio_greylist",
    ]  # fmt: skip
    assert any("vaglio-dnsbl is not wired" in line and "write [dnsbl] into" in line for line in lines)
    host.config.write_text("[greylist]\n[dnsbl]\n")
    wired = host.fine("postconf").splitlines()
    assert idle.removeprefix("# ") in wired
    assert not any("not wired" in line for line in wired)


def test_who_names_a_daemon_gets_the_lines_of_that_one_alone(host: Host) -> None:
    assert "dnsbl" not in host.fine("postconf", "greylist")


@needs_postfix
def test_postfix_takes_the_comments_for_such(host: Host, tmp_path: Path) -> None:
    host.config.write_text("[greylist]\n")
    found = postfix_reads(tmp_path, host.fine("postconf"))
    assert "vaglio_dnsbl" not in found
    assert found["smtpd_recipient_restrictions"].count("check_policy_service") == 1
    assert "inet:127.0.0.1:10023" in found["smtpd_recipient_restrictions"]


def postfix_masters(directory: Path, lines: str, main_cf: str = "") -> dict[str, str]:
    """Return the parameters of the services in master.cf as Postfix reads them; it must have nothing to complain of."""
    (directory / "main.cf").write_text(f"compatibility_level = 3.6\nmyhostname = mail.tizio.it\n{main_cf}\n")
    (directory / "master.cf").write_text(lines)
    os.utime(directory / "main.cf", (0, 0))
    done = subprocess.run(["postconf", "-P", "-c", str(directory)], capture_output=True, text=True, timeout=30,
                          check=False)  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return {name: value for name, _, value in (line.partition(" = ") for line in done.stdout.splitlines())}


LIMITS = ("check_policy_service { inet:127.0.0.1:10026, timeout=10s, try_limit=2, retry_delay=1s, "
          "default_action=DUNNO }")  # fmt: skip
NEW_RECIPIENTS = '[[ratelimit.rule]]\nname = "new"\ncount = "new_recipients"\nlimits = ["50/1h"]\n'
REFUSED = '[[ratelimit.rule]]\nname = "refused"\ncount = "refused_share"\nlimits = ["30%/1h"]\n'


@needs_postfix
@pytest.mark.parametrize(
    ("settings", "wired"),
    [
        ("", {"end_of_data": LIMITS}),
        ('stage = "data"\n', {"data": LIMITS}),
        ('stage = "rcpt"\n', {"recipient": LIMITS}),
        (NEW_RECIPIENTS, {"end_of_data": LIMITS, "recipient": LIMITS}),
        (REFUSED, {"end_of_data": LIMITS, "recipient": LIMITS}),
        ('on_error = "defer"\n', {"end_of_data": LIMITS.replace("DUNNO", "DEFER")}),
    ],
)
def test_rate_limits_are_wired_at_both_submission_ports(
    host: Host, tmp_path: Path, settings: str, wired: dict[str, str]
) -> None:
    host.config.write_text(f"[ratelimit]\n{settings}")
    found = postfix_masters(tmp_path, host.fine("postconf"))
    for port in ("submission", "submissions"):
        assert {list_: value for list_ in ("recipient", "data", "end_of_data")
                if (value := found.get(f"{port}/inet/smtpd_{list_}_restrictions"))} == wired  # fmt: skip
        assert found[f"{port}/inet/smtpd_relay_restrictions"] == "permit_sasl_authenticated,reject"
    document = host.json("postconf", "ratelimit")
    assert set(document) == {"submission", "submissions"}


def test_rate_limits_stand_behind_the_lines_of_main_cf(host: Host) -> None:
    host.config.write_text("[greylist]\n[ratelimit]\n")
    main_cf, _, master_cf = host.fine("postconf").partition("\n\n# Lines for master.cf")
    assert "check_policy_service $vaglio_greylist" in main_cf
    assert "10026" not in main_cf
    assert "10023" not in master_cf
    assert "ratelimit" not in host.fine("postconf", "greylist")


def test_an_unknown_daemon_is_named(host: Host) -> None:
    said = host.run("postconf", "dkim")
    assert said.status == 2
    wanted = "dnsbl, greylist, ratelimit, spf, dkim.verify, score, chain.inbound, chain.outbound, tag, dkim.sign"
    assert f"found 'dkim', wanted one of {wanted}" in said.err


# --- milters ---

IN_THE_SPOOL = {name: f'listen = ["unix:/var/spool/postfix/vaglio/{name}.sock"]\n'
                for name in ("spf", "dkim-verify", "dkim-sign", "inbound", "outbound", "lists")}  # fmt: skip
WAITS = "connect_timeout=10s, command_timeout=30s, content_timeout={}s"


def service(name: str, content: int = 60, default: str = "accept") -> str:
    return f"{{ unix:vaglio/{name}.sock, {WAITS.format(content)}, default_action={default} }}"


SIGNED = service("outbound", 60, "tempfail")


@needs_postfix
@pytest.mark.parametrize(
    ("text", "smtpd", "non_smtpd"),
    [
        (f"[spf]\n{IN_THE_SPOOL['spf']}", [service("spf")], []),
        (f"[spf]\n{IN_THE_SPOOL['spf']}own_addresses = ['192.0.2.25']", [service("spf")], [service("spf")]),
        (f'[spf]\n{IN_THE_SPOOL["spf"]}on_error = "defer"\ndeadline = "50s"',
         [service("spf", 85, "tempfail")], []),
        (f"[chain.inbound]\n{IN_THE_SPOOL['inbound']}[spf]", [service("inbound", 135)], []),
        (f"[chain.inbound]\n{IN_THE_SPOOL['inbound']}[spf]\nown_addresses = ['192.0.2.25']",
         [service("inbound", 135)], [service("inbound", 135)]),
        (f"[chain.inbound]\n{IN_THE_SPOOL['inbound']}[score]\nown_mail = 'score'", [service("inbound", 135)], []),
        (f"[chain.inbound]\n{IN_THE_SPOOL['inbound']}[score]\nown_mail = 'score'\ntrusted_networks = []",
         [service("inbound", 135)], [service("inbound", 135)]),
        (f"[chain.inbound]\n{IN_THE_SPOOL['inbound']}[chain.outbound]\n{IN_THE_SPOOL['outbound']}",
         [service("inbound", 135)], [SIGNED]),
        (f'[chain.inbound]\n{IN_THE_SPOOL["inbound"]}[chain.lists]\n{IN_THE_SPOOL["lists"]}checks = []\n'
         "remove_forged = false",
         [service("inbound", 135), service("lists", 35)], []),
        (f"[chain.outbound]\n{IN_THE_SPOOL['outbound']}", [], [SIGNED]),
        (f"[dkim.verify]\n{IN_THE_SPOOL['dkim-verify']}", [service("dkim-verify")], []),
        (f"[dkim.sign]\n{IN_THE_SPOOL['dkim-sign']}", [], [service("dkim-sign", 60, "tempfail")]),
        (f'[dkim.sign]\n{IN_THE_SPOOL["dkim-sign"]}on_error = "pass"', [], [service("dkim-sign")]),
        (f"[spf]\n{IN_THE_SPOOL['spf']}[dkim.sign]\n{IN_THE_SPOOL['dkim-sign']}",
         [service("spf")], [service("dkim-sign", 60, "tempfail")]),
        (f"[spf]\n{IN_THE_SPOOL['spf']}[dkim.verify]\n{IN_THE_SPOOL['dkim-verify']}remove_forged = false",
         [service("spf"), service("dkim-verify")], []),
        (f'[chain.lists]\n{IN_THE_SPOOL["lists"]}checks = ["dkim_sign"]\ndeadline = "9s"', [],
         [service("lists", 44, "tempfail")]),
    ],
)  # fmt: skip
def test_postfix_reads_the_lines_of_milters_without_a_warning(
    host: Host, tmp_path: Path, text: str, smtpd: list[str], non_smtpd: list[str]
) -> None:
    host.config.write_text(text)
    found = postfix_reads(tmp_path, host.fine("postconf"))
    assert found.get("smtpd_milters", "") == ", ".join(smtpd)
    assert found.get("non_smtpd_milters", "") == ", ".join(non_smtpd)
    assert found["milter_protocol"] == "6"
    assert "smtpd_recipient_restrictions" not in found


@needs_postfix
@pytest.mark.parametrize(
    ("text", "default"),
    [
        ("", "tempfail"),
        ('[dkim.sign]\non_error = "pass"\n', "accept"),
        ('[dkim.sign]\non_error = "pass"\n[spf]\non_error = "defer"\n', "tempfail"),
        ('[dkim.sign]\non_error = "pass"\n[chain.all]\non_error = "defer"\n', "tempfail"),
        ('[dkim.sign]\non_error = "pass"\n[dkim.verify]\non_error = "defer"\n', "accept"),
    ],
)
def test_mail_waits_for_a_chain_if_one_of_its_checks_can_not_be_done_without(
    host: Host, tmp_path: Path, text: str, default: str
) -> None:
    """Unsigned mail costs reputation, so a milter that is down must not let it through; the chain says no more."""
    chain = 'listen = ["unix:/var/spool/postfix/vaglio/all.sock"]\nchecks = ["spf", "dkim_sign"]\n'
    text = text if "[chain.all]" in text else f"{text}[chain.all]\n"
    host.config.write_text(text.replace("[chain.all]\n", f"[chain.all]\n{chain}"))
    found = postfix_reads(tmp_path, host.fine("postconf", "chain.all"))
    assert found["smtpd_milters"] == found["non_smtpd_milters"] == service("all", 85, default)


@needs_postfix
@pytest.mark.parametrize("name", ["dkim.sign", "vaglio-dkim-sign"])
def test_what_users_hand_in_is_signed_at_both_ports(host: Host, tmp_path: Path, name: str) -> None:
    host.config.write_text(f"[dkim.sign]\n{IN_THE_SPOOL['dkim-sign']}[ratelimit]\n")
    main_cf, _, master_cf = host.fine("postconf", name, "ratelimit").partition("\n\n# Lines for master.cf")
    found = postfix_masters(tmp_path, f"#{master_cf}", main_cf)
    for port in ("submission", "submissions"):
        assert found[f"{port}/inet/smtpd_milters"] == "$vaglio_dkim_sign"
    assert re.search(r"^smtpd_milters", main_cf, re.MULTILINE) is None  # of port 25
    assert main_cf.splitlines()[-1] == "#  -o smtpd_milters=$vaglio_dkim_sign"
    assert host.json("postconf", name)["submissions"] == {"smtpd_milters": "$vaglio_dkim_sign"}


@needs_postfix
def test_who_signs_stands_behind_all_that_may_change_the_header(host: Host, tmp_path: Path) -> None:
    host.config.write_text(f'[chain.outbound]\n{IN_THE_SPOOL["outbound"]}checks = ["spf"]\n'
                           f"[dkim.sign]\n{IN_THE_SPOOL['dkim-sign']}remove_forged = false\n[ratelimit]\n")  # fmt: skip
    main_cf, _, master_cf = host.fine("postconf").partition("\n\n# Lines for master.cf")
    both = "$vaglio_outbound, $vaglio_dkim_sign"
    assert postfix_masters(tmp_path, f"#{master_cf}", main_cf)["submission/inet/smtpd_milters"] == both
    assert f"#  -o {{ smtpd_milters = {both} }}" in main_cf
    assert f"non_smtpd_milters = {both}" in main_cf


@needs_postfix
def test_what_users_hand_in_goes_to_the_outbound_chain(host: Host, tmp_path: Path) -> None:
    host.config.write_text(f"[chain.outbound]\n{IN_THE_SPOOL['outbound']}[ratelimit]\n")
    main_cf, _, master_cf = host.fine("postconf").partition("\n\n# Lines for master.cf")
    found = postfix_masters(tmp_path, f"#{master_cf}", main_cf)
    for port in ("submission", "submissions"):
        assert found[f"{port}/inet/smtpd_milters"] == "$vaglio_outbound"
        assert found[f"{port}/inet/smtpd_end_of_data_restrictions"] == LIMITS
    assert "#  -o smtpd_milters=$vaglio_outbound" in main_cf
    assert host.json("postconf", "chain.outbound")["submission"] == {"smtpd_milters": "$vaglio_outbound"}


def test_a_check_that_a_chain_has_is_not_wired_twice(host: Host) -> None:
    host.config.write_text(f"[spf]\n{IN_THE_SPOOL['spf']}[chain.inbound]\n{IN_THE_SPOOL['inbound']}")
    assert set(host.json("postconf")) == {"vaglio_inbound", "smtpd_milters", "milter_protocol"}
    said = host.run("postconf", "spf", "chain.inbound")
    assert said.status == 2
    assert "chain.inbound has the check spf in it: name one of the two" in said.err
    assert host.run("postconf", "spf", "chain.outbound").status == 0  # own mail is another matter


@pytest.mark.parametrize(
    ("sections", "wired"),
    [
        ("[dkim.verify]\n[dkim.sign]\n", {"vaglio_dkim_verify", "vaglio_dkim_sign"}),
        ("[dkim.verify]\n[dkim.sign]\n[chain.inbound]\n", {"vaglio_inbound", "vaglio_dkim_sign"}),
        ("[dkim.verify]\n[dkim.sign]\n[chain.outbound]\n", {"vaglio_dkim_verify", "vaglio_outbound"}),
        ("[dkim]\n[chain.outbound]\n", {"vaglio_outbound"}),
        ('[dkim.sign]\n[chain.all]\nchecks = ["spf", "dkim_sign"]\n', {"vaglio_all"}),
    ],
)
def test_signing_and_verifying_are_each_wired_once(host: Host, sections: str, wired: set[str]) -> None:
    host.config.write_text(sections)
    document = json.loads(host.run("postconf", "--json").out)
    assert {name for name in document if name.startswith("vaglio_")} == wired


def test_who_marks_the_subject_stands_behind_all_that_verify_and_not_at_the_submission_ports(host: Host) -> None:
    host.config.write_text('[tag]\nremove_forged = false\n[dkim.sign]\n[chain.lists]\nchecks = ["spf"]\n')
    document = json.loads(host.run("postconf", "--json").out)
    assert document["smtpd_milters"] == "$vaglio_lists, $vaglio_tag"
    assert document["submission"] == {"smtpd_milters": "$vaglio_dkim_sign"}


@needs_postfix
@pytest.mark.parametrize("name", ["score", "vaglio-score", "tag", "vaglio-tag"])
def test_postfix_reads_the_lines_of_score_and_tag_without_a_warning(host: Host, tmp_path: Path, name: str) -> None:
    check = name.removeprefix("vaglio-")
    host.config.write_text(f'[{check}]\nlisten = ["unix:/var/spool/postfix/vaglio/{check}.sock"]\n')
    found = postfix_reads(tmp_path, host.fine("postconf", name))
    assert found["smtpd_milters"] == service(check, 60, "accept")


def test_mail_is_not_signed_twice(host: Host) -> None:
    said = host.run("postconf", "dkim.sign", "chain.outbound")
    assert said.status == 2
    assert "chain.outbound has the check dkim.sign in it: name one of the two" in said.err
    assert host.run("postconf", "dkim.sign", "chain.inbound").status == 0


def test_two_chains_with_the_same_check_are_warned_of(host: Host) -> None:
    host.config.write_text('[chain.inbound]\n[chain.lists]\nchecks = ["dkim_verify"]\nremove_forged = false\n')
    told = "chain.inbound and chain.lists both have the check dkim.verify, for the same mail: wire one of the two"
    said = host.run("postconf")
    assert f"# Warning: {told}" in said.out
    host.config.write_text('[chain.inbound]\n[chain.outbound]\nchecks = ["spf", "dkim_sign"]\n')
    assert "both have the check" not in host.run("postconf").out  # own mail is another matter


def test_an_empty_section_of_a_chain_is_one(host: Host) -> None:
    host.config.write_text("[spf]\n[chain.inbound]\n")
    document = json.loads(host.run("postconf", "--json").out)
    assert (document["smtpd_milters"], "vaglio_spf" in document) == ("$vaglio_inbound", False)


def test_lines_without_milters_for_local_mail_say_why(host: Host) -> None:
    """Each message of the sendmail command would take a round for nothing, and lose results that came before it."""
    why = "# No non_smtpd_milters: nothing here looks at what this machine itself sends by the sendmail command."
    assert why in host.run("postconf", "chain.inbound").out.splitlines()
    assert why not in host.run("postconf", "chain.inbound", "chain.outbound").out.splitlines()


def test_who_marks_spam_behind_the_daemon_that_scores_has_to_believe_its_headers(host: Host) -> None:
    host.config.write_text("[score]\n[tag]\n")
    said = host.run("postconf").out
    assert ("# Warning: tag stands behind score and does not believe the X-Spam headers that it writes, so no spam is "
            "marked: set tag.trust_spam_headers = true") in said  # fmt: skip
    assert "remove_forged" not in said  # score writes no Authentication-Results
    host.config.write_text("[score]\n[tag]\ntrust_spam_headers = true\n")
    assert "stands behind" not in host.run("postconf").out
    host.config.write_text('[score]\n[tag]\n[[tag.rule]]\nwhen = ["external"]\ntag = "[EXT]"\n')
    assert "stands behind" not in host.run("postconf").out


def test_who_marks_and_scores_behind_those_that_verify_lets_their_results_stand(host: Host) -> None:
    host.config.write_text("[dkim.verify]\n[score]\n[tag]\ntrust_spam_headers = true\n")
    said = host.run("postconf").out
    for name in ("score", "tag"):
        assert f"{name} stands behind dkim.verify and takes what that has written for a forgery" in said


def test_a_milter_behind_one_that_writes_received_spf_alone_undoes_nothing(host: Host) -> None:
    host.config.write_text('[spf]\nheader = "received-spf"\n[dkim.verify]\n')
    assert "stands behind" not in host.run("postconf").out


@needs_postfix
def test_milters_that_undo_each_other_are_warned_of(host: Host, tmp_path: Path) -> None:
    host.config.write_text(f"[chain.inbound]\n{IN_THE_SPOOL['inbound']}[chain.lists]\n{IN_THE_SPOOL['lists']}")
    said = host.run("postconf")
    told = "chain.lists stands behind chain.inbound and takes what that has written for a forgery: set "
    assert said.out.startswith(f"# Warning: {told}")
    assert told in said.err
    assert postfix_reads(tmp_path, said.out)["smtpd_milters"].count("unix:") == 2
    assert told in host.run("postconf", "--json").err


def test_a_milter_out_of_the_chroots_reach_is_warned_of(host: Host) -> None:
    said = host.run("postconf", "vaglio-spf")
    assert (said.status, said.out.count("unix:/run/vaglio/spf.sock, ")) == (0, 1)
    assert said.out.startswith("# Warning: unix:/run/vaglio/spf.sock is out of reach for a chrooted smtpd (Debian's ")
    assert 'let spf.listen be ["unix:/var/spool/postfix/vaglio/spf.sock"]' in said.out
    assert "out of reach for a chrooted smtpd" in said.err
    assert 'let dkim.sign.listen be ["unix:/var/spool/postfix/vaglio/dkim-sign.sock"]' in (
        host.run("postconf", "dkim.sign").out
    )


def test_who_wires_no_milter_is_told_how(host: Host) -> None:
    told = "# Milters have no section in the configuration. Their lines: vaglio postconf chain.inbound chain.outbound"
    assert host.fine("postconf").splitlines()[-1] == told
    assert told not in host.fine("postconf", "greylist")
    host.config.write_text("[chain.inbound]\n")
    assert told not in host.run("postconf").out


def test_the_rights_of_a_milters_socket_are_told_of(host: Host) -> None:
    assert "without them, set socket_group" in host.run("postconf", "spf").out
    host.config.write_text('[spf]\nlisten = ["inet:127.0.0.1:10030"]\n')
    assert "socket_group" not in host.run("postconf", "spf").out


def test_where_lines_and_warnings_go_the_same_way_a_warning_is_told_once(host: Host) -> None:
    start = "import sys; from vaglio.cli.main import main; sys.exit(main(sys.argv[1:]))"
    words = [sys.executable, "-c", start, "postconf", "spf", "--config", str(host.config)]
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, check=True)
    assert done.stdout.count("is out of reach for a chrooted smtpd") == 1


def test_json_has_the_parameters(host: Host) -> None:
    document = host.json("postconf")
    assert document["smtpd_recipient_restrictions"][-1] == "check_policy_service $vaglio_greylist"
    assert document["vaglio_greylist"].startswith("{ inet:127.0.0.1:10023, ")


def test_a_socket_out_of_the_chroots_reach_is_warned_of(host: Host) -> None:
    host.configure('listen = ["unix:/run/vaglio/greylist.sock"]')
    said = host.run("postconf")
    assert said.status == 0
    assert "unix:/run/vaglio/greylist.sock, " in said.out
    assert "out of reach for a chrooted smtpd" in said.err


@pytest.mark.parametrize(
    ("listen", "found"),
    [
        ("inet:127.0.0.1:10023", "inet:127.0.0.1:10023"),
        ("inet:0.0.0.0:10023", "inet:127.0.0.1:10023"),
        ("inet:[::]:10023", "inet:[::1]:10023"),
        ("inet:policy.caio.it:10023", "inet:policy.caio.it:10023"),
        ("unix:/var/spool/postfix/private/vaglio", "unix:private/vaglio"),
        ("unix:/run/vaglio/greylist.sock", "unix:/run/vaglio/greylist.sock"),
    ],
)
def test_postfix_is_told_the_address_that_it_can_reach(listen: str, found: str) -> None:
    assert endpoint(listen) == found
