"""``vaglio try``: a message through a chain without a mail server."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vaglio.checks.dkim.signing.make import new_key
from vaglio.cli.main import main

ZONE = """\
tizio.it TXT "v=spf1 ip4:192.0.2.25 -all"
severo.it TXT "v=spf1 ip4:192.0.2.25 -all"
strano.it TXT "v=spf1 ip4:192.0.2.25 -all"
parked.it TXT "v=spf1 -all"
mail.tizio.it TXT "v=spf1 ip4:192.0.2.25 -all"
"""
CONFIG = """\
[identity]
authserv_id = "mx.caio.it"
hostname = "mx.caio.it"

[spf]
defer_to_dmarc = false

[[spf.rule]]
senders = ["severo.it"]
mail_from.fail = "reject"

[[spf.rule]]
senders = ["strano.it"]
mail_from.fail = "quarantine"

[chain.inbound]
checks = ["spf", "dkim_verify"]

[chain.other]
checks = []
"""
FOR_ONE = """
[[spf.rule]]
recipients = ["severa@caio.it"]
mail_from.fail = "reject"
"""
FORGED = "Authentication-Results: mx.caio.it; spf=pass"
MESSAGE = f"{FORGED}\nFrom: <tizio@tizio.it>\nAuthentication-Results: other.it; spf=pass\nSubject: Ciao\n\nCiao!\n"
TIZIO = ("--from", "tizio@tizio.it", "--to", "anna@caio.it", "--helo", "mail.tizio.it")
GOOD, BAD = ("--ip", "192.0.2.25"), ("--ip", "198.51.100.66")

Try = Callable[..., Any]


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    for name, text in (("zone", ZONE), ("vaglio.toml", CONFIG), ("message.eml", MESSAGE)):
        (tmp_path / name).write_text(text)
    return ["--zone", str(tmp_path / "zone"), "--config", str(tmp_path / "vaglio.toml")]


@pytest.fixture
def play(words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Try:
    def run(*more: str) -> Any:
        assert main(["try", str(tmp_path / "message.eml"), *words, *more, "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    return run


@pytest.fixture
def for_one(words: list[str], tmp_path: Path) -> None:
    """One recipient is more severe than the others."""
    with (tmp_path / "vaglio.toml").open("a") as config:
        config.write(FOR_ONE)


def test_what_passes_gets_the_result_and_loses_the_forgery(play: Try) -> None:
    found = play(*GOOD, *TIZIO)
    assert (found["verdict"], found["reason"], found["reply"]) == ("pass", "passed", "")
    assert found["story"] == "SPF pass for tizio.it; no DKIM signature; delivered"
    assert found["added"] == [
        "Authentication-Results: mx.caio.it;\n\tspf=pass smtp.mailfrom=tizio@tizio.it;\n\tspf=pass "
        "smtp.helo=mail.tizio.it;\n\tdkim=none (no signature)"
    ]
    assert found["removed"] == [FORGED]
    assert found["facts"]["spf.domain"] == "tizio.it"


def test_what_fails_says_so(play: Try) -> None:
    found = play(*BAD, *TIZIO)
    assert (found["verdict"], found["story"]) == ("pass", "SPF fail for tizio.it; no DKIM signature; delivered")
    assert 'spf=fail reason="198.51.100.66 is not in the SPF record of tizio.it"' in found["added"][0]


def test_a_refusal_gives_the_reply_and_touches_nothing(play: Try) -> None:
    found = play(*BAD, "--from", "x@parked.it", "--to", "anna@caio.it")
    assert (found["verdict"], found["reason"]) == ("reject", "no-mail")
    assert found["reply"].startswith("550 5.7.23 SPF fail: parked.it (MAIL FROM) says in its SPF record that ")
    assert found["added"] == found["removed"] == []
    assert found["story"].startswith("SPF fail for parked.it; no DKIM signature; refused for good")


@pytest.mark.usefixtures("for_one")
def test_a_refusal_of_one_recipient_leaves_the_message_to_the_other(play: Try) -> None:
    found = play(*BAD, *TIZIO, "--to", "severa@caio.it")
    assert list(found["recipients_refused"]) == ["severa@caio.it"]
    assert found["recipients_refused"]["severa@caio.it"].startswith("550 5.7.23 ")
    assert found["verdict"] == "pass"


@pytest.mark.usefixtures("for_one")
def test_a_message_whose_recipients_are_all_refused_is_none(play: Try) -> None:
    found = play(*BAD, "--from", "tizio@tizio.it", "--to", "severa@caio.it")
    assert (found["verdict"], list(found["recipients_refused"])) == ("reject", ["severa@caio.it"])
    assert found["added"] == found["removed"] == []


def test_a_message_that_is_held_says_why(play: Try) -> None:
    found = play(*BAD, "--from", "x@strano.it", "--to", "anna@caio.it")
    assert found["verdict"] == "hold"
    assert re.fullmatch(r"SPF fail strano\.it(; ref \S{9})?", found["held"])


def test_one_who_has_logged_in_is_not_judged_but_forges_nothing(play: Try) -> None:
    found = play(*BAD, *TIZIO, "--login", "tizio", "--chain", "outbound")
    assert (found["verdict"], found["reason"], found["added"]) == ("pass", "no-key", [])
    assert found["removed"] == [FORGED]


def test_mail_of_our_own_is_signed_as_it_would_be(play: Try, tmp_path: Path) -> None:
    with (tmp_path / "vaglio.toml").open("a") as config:
        config.write(f'[[dkim.sign.keys]]\ndomain = "tizio.it"\nselector = "2026a"\nfile = "{tmp_path}/key.pem"\n')
    (tmp_path / "key.pem").write_bytes(new_key("ed25519", 0))
    (tmp_path / "key.pem").chmod(0o600)
    found = play(*BAD, *TIZIO, "--login", "tizio", "--chain", "outbound")
    assert (found["reason"], found["story"]) == ("signed", "DKIM signed for tizio.it; delivered")
    (added,) = found["added"]
    assert added.startswith("DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed; d=tizio.it;\n\ts=2026a; ")
    assert play(*BAD, *TIZIO, "--chain", "outbound")["added"] == []  # without the login


def test_a_rehearsal_says_what_would_be_done_and_does_nothing(play: Try, tmp_path: Path) -> None:
    config = tmp_path / "vaglio.toml"
    config.write_text(config.read_text().replace("[chain.inbound]\n", '[chain.inbound]\nmode = "rehearse"\n'))
    found = play(*BAD, "--from", "x@severo.it", "--to", "anna@caio.it")
    assert (found["verdict"], found["rehearsed"], found["reply"]) == ("pass", "reject", "")
    assert found["added"] == found["removed"] == []
    assert "since this is a rehearsal" in found["story"]


def test_the_story_is_told_in_words_english_or_italian(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    message = str(tmp_path / "message.eml")
    assert main(["try", message, *words, *GOOD, *TIZIO]) == 0
    out = capsys.readouterr().out
    headline, _, why = out.partition("\n\n")
    assert headline == "let through: SPF pass for tizio.it; no DKIM signature"
    assert why.startswith("why (passed):\n  192.0.2.25 may send for tizio.it ")
    assert "\n\nadded:\n  Authentication-Results: mx." in out
    assert f"\n\nremoved:\n  {FORGED}\n" in out
    assert main(["try", message, *words, *BAD, "--from", "x@strano.it", "--to", "anna@caio.it"]) == 0
    assert "\n\nheld:\n" in capsys.readouterr().out
    assert main(["try", message, *words, *BAD, *TIZIO, "--language", "it"]) == 0
    out = capsys.readouterr().out
    headline, _, why = out.partition("\n\n")
    assert headline == "lasciato passare: SPF fail per tizio.it; nessuna firma DKIM"
    assert why.startswith("perché (passed):\n  198.51.100.66 non è nel ")
    assert "\n\naggiunto:\n" in out
    assert "\n\ntolto:\n" in out


def test_a_refusal_says_once_what_it_is_and_shows_where_the_reference_stands(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    message = str(tmp_path / "message.eml")
    assert main(["try", message, *words, *BAD, "--from", "x@parked.it", "--to", "anna@caio.it"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("refused for good: SPF fail for parked.it; no DKIM signature\n\nwhy (no-mail):\n")
    assert "; ref XXXX-XXXX\n" in out


@pytest.mark.usefixtures("for_one")
def test_who_is_refused_by_itself_is_in_the_headline(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (tmp_path / "vaglio.toml").open("a") as config:
        config.write('[[spf.rule]]\nrecipients = ["poi@caio.it"]\nmail_from.fail = "defer"\n')
    both = ("--to", "severa@caio.it", "--to", "poi@caio.it")
    assert main(["try", str(tmp_path / "message.eml"), *words, *BAD, *TIZIO, *both]) == 0
    out = capsys.readouterr().out
    assert out.startswith("let through, but not for 2 of 3 recipients: SPF fail for tizio.it; no DKIM signature\n")
    assert "\n\nrefused for severa@caio.it:\n  550 " in out
    assert "\n\ndeferred for poi@caio.it:\n  451 " in out


@pytest.mark.usefixtures("for_one")
def test_a_rule_that_is_overruled_for_anothers_sake_is_told_of(play: Try, tmp_path: Path) -> None:
    config = tmp_path / "vaglio.toml"
    config.write_text(config.read_text().replace("defer_to_dmarc = false", "defer_to_dmarc = true"))
    found = play(*BAD, *TIZIO, "--to", "severa@caio.it")
    assert found["verdict"] == "pass"
    assert "spf.rule[2].mail_from.fail, which holds for another of the recipients, is more severe" in found["why"]


def test_what_strangers_wrote_does_nothing_to_the_terminal(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "message.eml").write_bytes(b"Authentication-Results: mx.caio.it; \x1b[2J\xff\n\nx")
    assert main(["try", str(tmp_path / "message.eml"), *words, *BAD, *TIZIO]) == 0
    assert "\x1b" not in capsys.readouterr().out


def test_a_message_may_come_from_standard_input(
    words: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(MESSAGE.encode().replace(b"\n", b"\r\n"))))
    assert main(["try", "-", *words, *GOOD, *TIZIO, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["removed"] == [FORGED]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--chain", "nowhere"), "there is no section [chain.nowhere]; there are inbound, outbound, other"),
        (("--zone", "/nonexistent/zone"), "/nonexistent/zone: "),
    ],
)
def test_what_is_not_there_is_named(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], more: tuple[str, ...], said: str
) -> None:
    assert main(["try", str(tmp_path / "message.eml"), *words, *GOOD, *TIZIO, *more]) == 1
    assert said in capsys.readouterr().err
    assert main(["try", str(tmp_path / "none.eml"), *words, *GOOD, *TIZIO]) == 1
    assert "none.eml: No such file" in capsys.readouterr().err


def test_a_chain_without_checks_lets_all_pass(play: Try) -> None:
    found = play(*BAD, *TIZIO, "--chain", "other")
    assert (found["verdict"], found["added"], found["removed"]) == ("pass", [], [FORGED])


def test_a_check_that_found_nothing_is_not_asked_why(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (tmp_path / "vaglio.toml").open("a") as config:
        config.write('[chain.marks]\nchecks = ["tag"]\n')
    (tmp_path / "message.eml").write_text(MESSAGE.replace(f"{FORGED}\n", ""))
    assert main(["try", str(tmp_path / "message.eml"), *words, *GOOD, *TIZIO, "--chain", "marks"]) == 0
    assert "nothing" not in capsys.readouterr().out
