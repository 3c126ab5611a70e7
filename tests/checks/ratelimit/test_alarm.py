"""What the admin is told of a key beyond its limit."""

from __future__ import annotations

import shlex
from typing import Any, cast

import pytest

from vaglio.checks.ratelimit.alarm import AlarmMail, alarm_mail
from vaglio.checks.ratelimit.decide import Alarm, Finding
from vaglio.checks.ratelimit.rules import ready
from vaglio.checks.ratelimit.settings import RatelimitSettings
from vaglio.checks.ratelimit.usage import Counts, Usage

NOW = 1_790_000_000
COUNTS = cast(Counts, None)  # of no interest here


def told(
    rule: dict[str, Any] | None = None, key: str = "tizio@tizio.it", rehearse: bool = False, **found: Any
) -> AlarmMail:
    """Return what is told of a key that is beyond the first limit of a rule."""
    settings = RatelimitSettings.model_validate({"rule": [rule]} if rule else {})
    ours = ready(settings, lambda _: "").groups[0].rules[0]
    finding = Finding(ours, COUNTS, COUNTS, ours.limits[0], **({"used": 200, "units": 3, "over": True} | found))
    return alarm_mail(Alarm(finding, Usage("sasl_username", key)), NOW, rehearse)


def test_a_hostile_key_is_one_word_of_the_commands_to_paste() -> None:
    key = "$(reboot)';reboot;'\"x y@tizio.it"
    text = told(key=key).text
    commands = [shlex.split(line) for line in text.splitlines() if line.startswith("  vaglio ")]
    assert [command[:3] for command in commands] == [
        ["vaglio", "ratelimit", "show"], ["vaglio", "ratelimit", "reset"], ["vaglio", "journal", "--since"],
    ]  # fmt: skip
    assert all(key in command for command in commands)


@pytest.mark.parametrize(
    ("rule", "found", "words"),
    [
        ({}, {}, "200 recipients counted, this message adds 3, 200/1h allowed"),
        ({"per_message": 50}, {"used": 0, "units": 60, "hopeless": True},
         "this message has 60, at most 50 recipients in one message"),
        ({}, {"used": 0, "units": 300, "hopeless": True}, "this message alone has 300, 200/1h allowed"),
        ({"count": "bytes", "limits": ["5 MB/1d"]}, {"used": 4_500_000, "units": 600_000},
         "4.5 MB counted, this message adds 600 KB, 5 MB/1d allowed"),
        ({"count": "distinct_networks", "limits": ["8/1h"]}, {"used": 8, "units": 1},
         "8 different networks counted, this message adds 1, 8/1h allowed"),
        ({"count": "refused_share", "limits": ["30%/1h"]}, {"used": 50, "units": 0},
         "50% of its recipients were refused, 30%/1h allowed"),
    ],
)  # fmt: skip
def test_log_and_mail_say_what_was_found_and_what_is_allowed(
    rule: dict[str, Any], found: dict[str, Any], words: str
) -> None:
    mail = told({"limits": ["200/1h"], **rule}, **found)
    assert mail.line.startswith(f"'tizio@tizio.it' is beyond its limit per-user: {words}; from ")
    assert f" {words}\n" in mail.text


def test_what_is_too_much_by_itself_is_refused_whatever_comes_later() -> None:
    assert "Such a message is refused for good" in told(hopeless=True).text
    assert "Further messages are deferred" in told().text


def test_a_rehearsal_is_told_as_one() -> None:
    mail = told(rehearse=True)
    assert mail.line.startswith("in rehearsal, nothing is held back: 'tizio@tizio.it' is beyond")
    assert mail.subject.endswith("(per-user, rehearsal)")
    assert "This is a rehearsal" in mail.text
    assert (mail.details["mode"], told().details["mode"]) == ("rehearse", "enforce")
    assert "rehears" not in told().line + told().subject + told().text
