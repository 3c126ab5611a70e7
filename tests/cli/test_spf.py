"""``vaglio spf check`` and ``vaglio spf report``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vaglio.cli.main import main
from vaglio.journal.entry import Entry
from vaglio.journal.writer import JournalWriter

NOW = 1_790_000_000  # of the host in conftest.py

ZONE = """
tizio.it TXT v=spf1 ip4:198.51.100.0/24 include:_spf.example.net exp=why.tizio.it -all
_spf.example.net TXT v=spf1 ip4:203.0.113.0/24 -all
why.tizio.it TXT "ask %{o}"
mail.tizio.it TXT v=spf1 a -all
mail.tizio.it A 198.51.100.7
tutti.it TXT v=spf1 ptr a/0 +all mx
kaputt.it TXT TIMEOUT
ora.it TXT v=spf1 exp=ora2.it -all exists:%{d}
ora2.it TXT "%{t}"
"""

Ask = Callable[..., dict[str, Any]]


@pytest.fixture
def zone(tmp_path: Path) -> str:
    path = tmp_path / "spf.zone"
    path.write_text(ZONE)
    return str(path)


@pytest.fixture
def ask(zone: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Ask:
    config = tmp_path / "vaglio.toml"
    config.write_text('[spf]\nmail_from = { fail = "reject" }')

    def run(*words: str) -> dict[str, Any]:
        assert main(["spf", "check", *words, "--zone", zone, "--config", str(config), "--json"]) == 0
        document: dict[str, Any] = json.loads(capsys.readouterr().out)
        return document

    return run


def test_a_pass_names_the_term_that_matched(ask: Ask) -> None:
    found = ask("--ip", "203.0.113.9", "--from", "tizio@tizio.it", "--helo", "mail.tizio.it")
    assert (found["result"], found["identity"], found["domain"]) == ("pass", "mailfrom", "tizio.it")
    assert (found["mechanism"], found["through"]) == (
        "include:_spf.example.net",
        "ip4:203.0.113.0/24 of _spf.example.net",
    )
    assert (found["lookups"], found["void_lookups"], found["advice"]) == (1, 0, [])
    assert found["helo"]["result"] == "fail"
    assert found["policy"] == {
        "action": "pass", "reason": "pass", "by": "", "mode": "enforce", "reply": "", "why": "",
    }  # fmt: skip


def test_a_fail_says_what_to_do_and_what_the_client_would_hear(ask: Ask) -> None:
    found = ask("--ip", "192.0.2.7", "--from", "<tizio@tizio.it>")
    assert (found["result"], found["mechanism"], found["explanation"]) == ("fail", "-all", "ask tizio.it")
    assert found["allows"] == "ip4:198.51.100.0/24 and include:_spf.example.net"
    assert "add ip4:192.0.2.7 to its record" in found["advice"][0]
    assert found["policy"]["reply"].startswith("550 5.7.23 SPF fail: 192.0.2.7 is not in the SPF record of tizio.it")
    assert found["policy"]["by"] == "spf.mail_from.fail"


def test_the_null_sender_is_judged_by_helo(ask: Ask) -> None:
    found = ask("--ip", "198.51.100.7", "--from", "", "--helo", "mail.tizio.it")
    assert (found["result"], found["identity"], found["domain"]) == ("pass", "helo", "mail.tizio.it")


def test_a_bare_domain_is_that_of_a_sender(ask: Ask) -> None:
    assert ask("--ip", "198.51.100.7", "--from", "tizio.it")["result"] == "pass"


def test_a_dns_that_fails_is_no_record_that_is_missing(ask: Ask) -> None:
    found = ask("--ip", "192.0.2.7", "--from", "a@kaputt.it")
    assert (found["result"], found["problem"]) == ("temperror", "TXT of kaputt.it can't be looked up (timeout)")
    assert ask("--ip", "192.0.2.7", "--from", "a@niente.it")["problem"] == "the domain has no SPF record"


def test_the_time_can_be_given(ask: Ask) -> None:
    assert ask("--ip", "192.0.2.7", "--from", "a@ora.it", "--now", "1700000000")["explanation"] == "1700000000"


RULES = """\
[spf]
relays = ["192.0.2.200"]
skip.clients = ["192.0.2.99"]
mail_from = { fail = "reject" }

[[spf.rule]]
recipients = ["mite@caio.it"]
"""


@pytest.fixture
def told(zone: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Return what it says that a result leads to, with rules, exemptions and relays."""
    config = tmp_path / "rules.toml"
    config.write_text(RULES)
    with Path(zone).open("a") as file:
        file.write("stretto.it TXT v=spf1 -all\n_dmarc.tizio.it TXT v=DMARC1; p=reject\nduro.it TXT v=spf1 mx -all\n")

    def run(address: str, sender: str, *more: str, settings: str = "") -> str:
        config.write_text(RULES.replace("[spf]\n", f"[spf]\n{settings}"))
        words = ["--ip", address, "--from", sender, "--zone", zone, "--config", str(config), *more]
        assert main(["spf", "check", *words]) == 0
        (line,) = [line for line in capsys.readouterr().out.splitlines() if "leads to: " in line]
        return line.partition("leads to: ")[2]

    return run


def test_what_it_leads_to_is_what_the_milter_would_do(told: Callable[..., str]) -> None:
    assert told("192.0.2.7", "a@duro.it").startswith("reject (spf.mail_from.fail) 550 5.7.23 SPF fail: 192.0.2.7 ")
    assert told("192.0.2.7", "a@duro.it", "--to", "mite@caio.it") == "let in (spf.rule[0].mail_from.fail)"
    assert told("192.0.2.7", "a@tizio.it").partition(" In the words")[0].endswith("DMARC decides (spf.defer_to_dmarc).")
    assert told("192.0.2.99", "a@duro.it").endswith("The client stands in spf.skip.clients (192.0.2.99).")
    assert told("127.0.0.1", "a@duro.it").endswith("The client is in a network of ours (127.0.0.0/8).")
    assert "The client is our relay 192.0.2.200" in told("192.0.2.200", "a@duro.it")
    assert told("198.51.100.7", "a@tizio.it") == "let in"


def test_a_rehearsal_lets_in_and_says_what_it_would_do(told: Callable[..., str]) -> None:
    said = told("192.0.2.7", "a@stretto.it", settings='mode = "rehearse"\n')
    assert said.startswith('let in, since spf.mode is "rehearse"; in earnest: reject (spf.mail_from.no_mail) 550 ')


def test_trace_shows_each_step(ask: Ask) -> None:
    trace = ask("--ip", "192.0.2.7", "--from", "a@tizio.it", "--trace")["trace"]
    assert [(row["step"], row["depth"], row["text"]) for row in trace] == [
        ("lookup", 0, "tizio.it TXT"),
        ("record", 0, "v=spf1 ip4:198.51.100.0/24 include:_spf.example.net exp=why.tizio.it -all"),
        ("term", 0, "ip4:198.51.100.0/24"),
        ("term", 0, "include:_spf.example.net"),
        ("lookup", 0, "_spf.example.net TXT"),
        ("record", 1, "v=spf1 ip4:203.0.113.0/24 -all"),
        ("term", 1, "ip4:203.0.113.0/24"),
        ("term", 1, "-all"),
        ("term", 0, "-all"),
        ("lookup", 0, "why.tizio.it TXT"),
    ]


def test_trace_says_what_is_odd_about_a_record(ask: Ask) -> None:
    advice = " ".join(ask("--ip", "192.0.2.7", "--from", "a@tutti.it", "--trace")["advice"])
    for words in ("lets everybody send", "uses ptr", "behind all is never read"):
        assert words in advice


def test_in_words(zone: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["spf", "check", "--ip", "192.0.2.7", "--from", "a@tizio.it", "--zone", zone, "--trace"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("fail: tizio.it (MAIL FROM), client 192.0.2.7\n  matched: -all\n")
    assert "in their words: ask tizio.it" in out
    assert "\n  look-ups: 1 of 10; void: 0 of 2\n" in out
    assert "\n  HELO: not given (--helo)\n" in out
    assert "step      in the record of" in out


def test_a_zone_that_is_none_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["spf", "check", "--ip", "192.0.2.7", "--from", "a@b.it", "--zone", str(tmp_path / "none")]
    assert main(words) == 1
    assert "No such file" in capsys.readouterr().err


@pytest.mark.parametrize("sender", ["nonsense here", "a b@tizio.it", '"a'])
def test_a_sender_that_is_none_is_refused(zone: str, sender: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["spf", "check", "--ip", "192.0.2.7", "--from", sender, "--zone", zone])
    assert "wanted an address such as tizio@tizio.it" in capsys.readouterr().err


def test_a_helo_name_that_is_no_domain_is_said_to_be_none(zone: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--ip", "192.0.2.7", "--from", "a@tizio.it", "--helo", "[192.0.2.7]", "--zone", zone]
    assert main(["spf", "check", *words]) == 0
    assert "HELO: none (an address in brackets is no domain)" in capsys.readouterr().out


def test_a_sender_may_be_quoted(ask: Ask) -> None:
    assert ask("--ip", "198.51.100.7", "--from", '"a b"@tizio.it')["result"] == "pass"


def test_an_address_that_is_none_is_refused(zone: str) -> None:
    with pytest.raises(SystemExit):
        main(["spf", "check", "--ip", "tizio", "--from", "a@b.it", "--zone", zone])


# --- report ---


def judged(result: str, domain: str = "tizio.it", **more: Any) -> Entry:
    """Return the entry of a milter of its own."""
    facts = {"result": result, "domain": domain}
    values = {"action": "pass", "reason": result, **more}
    return Entry(ref="G7K2-9QFD", at=NOW - 100.0, daemon="spf", check="spf", facts=facts, **values)


def in_chain(result: str, reason: str, decided_by: str, action: str) -> Entry:
    """Return the entry of a chain."""
    facts = {"spf.result": result, "spf.domain": "tizio.it", "spf.reason": reason, "decided_by": decided_by}
    return Entry(ref="G7K2-9QFD", at=NOW - 50.0, daemon="chain.inbound", check="chain", reason=reason, action=action,
                 facts=facts)  # fmt: skip


@pytest.fixture
def journalled(host: Any) -> Any:
    """A journal with a week of both."""
    journal = JournalWriter(host.state / "journal.sqlite", 1e9, 10**9, pytest.fail, host.clock.now)
    for entry in (
        judged("pass"), judged("pass", "caio.it"), judged("none", ""),
        judged("fail", action="reject"), judged("fail", reason="left-to-dmarc"), judged("fail", reason="backup-mx"),
        judged("softfail", rehearsed="defer"),
        in_chain("fail", "fail", "spf", "hold"), in_chain("fail", "left-to-dmarc", "other", "reject"),
        judged("fail")._replace(at=NOW - 30 * 86400.0),
        judged("fail")._replace(check="greylist"),
    ):  # fmt: skip
        journal.record(entry)
    journal.flush()
    journal.close()
    return host


def test_the_report_counts_results_and_what_came_of_them(journalled: Any) -> None:
    found = journalled.json("spf", "report")
    assert (found["messages"], found["days"], found["as_of"]) == (9, 7, NOW)
    assert [(one["domain"], one["messages"]) for one in found["domains"]] == [("tizio.it", 7), ("", 1), ("caio.it", 1)]
    first = found["domains"][0]
    assert first["results"] == {
        "pass": 1, "fail": 5, "softfail": 1, "neutral": 0, "none": 0, "permerror": 0, "temperror": 0,
    }  # fmt: skip
    counts = {key: first[key] for key in ("refused", "would_refuse", "left_to_dmarc", "spared")}
    assert counts == {"refused": 2, "would_refuse": 1, "left_to_dmarc": 2, "spared": 1}
    assert journalled.json("spf", "report", "--days", "31")["messages"] == 10


def test_the_report_in_words(journalled: Any) -> None:
    out = journalled.fine("spf", "report", "--limit", "1")
    first, head, worst, whole, rest = out.splitlines()
    assert first.endswith(": SPF judged 9 messages")
    assert head.split()[:3] == ["domain", "pass", "fail"]
    assert worst.split() == ["tizio.it", "1", "5", "1", "0", "0", "0", "0", "2", "1", "2", "1"]
    assert whole.split()[:3] == ["all", "2", "5"]
    assert rest == "and 2 more domains (--limit)"
    assert "the journal keeps 30d only (journal.keep)" in journalled.fine("spf", "report", "--days", "90")


def test_a_report_of_nothing_says_so(journalled: Any) -> None:
    journalled.clock.time += 60 * 86400
    assert "there is nothing in the journal" in journalled.fine("spf", "report")
