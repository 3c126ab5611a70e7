"""What the admin is told of a key beyond its limit."""

from __future__ import annotations

import shlex
from typing import cast

from vaglio.checks.ratelimit.alarm import alarm_mail
from vaglio.checks.ratelimit.decide import Alarm, Finding
from vaglio.checks.ratelimit.rules import ready
from vaglio.checks.ratelimit.settings import RatelimitSettings
from vaglio.checks.ratelimit.usage import Counts, Usage


def test_a_hostile_key_is_one_word_of_the_commands_to_paste() -> None:
    key = "$(reboot)';reboot;'\"x y@tizio.it"
    rule = ready(RatelimitSettings(), lambda _: "").groups[0].rules[0]
    counts = cast(Counts, None)  # of no interest here
    finding = Finding(rule, counts, counts, rule.limits[0], used=200, units=1, over=True)
    text = alarm_mail(Alarm(finding, Usage("sasl_username", key)), 1_790_000_000).text
    commands = [shlex.split(line) for line in text.splitlines() if line.startswith("  vaglio ")]
    assert [command[:3] for command in commands] == [
        ["vaglio", "ratelimit", "show"], ["vaglio", "ratelimit", "reset"], ["vaglio", "journal", "--since"],
    ]  # fmt: skip
    assert all(key in command for command in commands)
