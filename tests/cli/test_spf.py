"""``vaglio spf check``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vaglio.cli.main import main

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
    assert found["policy"] == {"action": "pass", "reason": "pass", "by": "", "reply": ""}


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
    assert "step      in the record of" in out


def test_a_zone_that_is_none_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["spf", "check", "--ip", "192.0.2.7", "--from", "a@b.it", "--zone", str(tmp_path / "none")]
    assert main(words) == 1
    assert "No such file" in capsys.readouterr().err


def test_an_address_that_is_none_is_refused(zone: str) -> None:
    with pytest.raises(SystemExit):
        main(["spf", "check", "--ip", "tizio", "--from", "a@b.it", "--zone", zone])
