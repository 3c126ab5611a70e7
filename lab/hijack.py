"""The scene at tizio's own mail host: somebody has his password, and sends until the limit of his account.

It is a scene of its own kind: many messages, by submission with a login, and another user who must not suffer.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lab.logs import decisions
from lab.scenes import OFFICE, PASSWORDS, SCENES
from lab.smtp import letter
from lab.vaglio import said, why
from lab.waiting import until
from lab.world import TIZIOS_CONFIG, World, ratelimit_toml

TITLE = "somebody has guessed Tizio's password; Sempronio, of the same house, works on"

LOGIN, OTHER = "tizio@tizio.it", "sempronio@tizio.it"
THIEF = "198.51.100.66"

ACTOR, SUBJECT = "a thief, as Tizio", "You have won"
MESSAGES, ROUND = 60, 10
"""What the thief sends, and after how many of them Sempronio writes one message."""

LIMIT = 20
ROOM = LIMIT - sum(scene.user == LOGIN for scene in SCENES)
"""What Tizio's own letters have left of it."""
RATELIMIT = ratelimit_toml(f'[[ratelimit.rule]]\nname = "per-user"\nlimits = ["{LIMIT}/1h"]\n')

ACCEPTED = r"^250 "
REFUSED = (
    rf"^450 4\.7\.1 <END-OF-MESSAGE>: .*{re.escape(LOGIN)} would exceed {LIMIT} recipients in 1h .*"
    r"ref [0-9A-Z]{4}-[0-9A-Z]{4}$"
)
WITHIN = "vaglio-ratelimit pass: within-limits"
OVER = "vaglio-ratelimit defer: over-limit"
ALARM = f"'{LOGIN}' is beyond its limit"
QUOTA = rf"(?s){re.escape(LOGIN)}.*\bnone of {LIMIT} recipients left\b"


@dataclass(frozen=True, slots=True)
class Hijack:
    """The scene as it was played: each user's answers and decisions in order, and what the admin can see of it."""

    answers: dict[str, list[str]]
    decided: dict[str, list[str]]
    landed: int
    """Sempronio's messages that arrived."""
    ref: str
    why: str
    alarms: list[str]
    quota: str

    @property
    def accepted(self) -> int:
        """How many messages the thief got in."""
        return sum(bool(re.search(ACCEPTED, answer)) for answer in self.answers[LOGIN])


def judge(seen: Hijack) -> tuple[str, ...]:
    """Return what was not as it ought to be; nothing if all was."""
    ours, theirs = MESSAGES // ROUND, seen.answers[LOGIN]
    wrong = [] if seen.accepted == ROOM else [f"{seen.accepted} of the thief's messages were accepted, not {ROOM}"]
    wrong += [f"the thief heard {answer!r}" for answer in theirs[ROOM:] if not re.search(REFUSED, answer)][:1]
    wrong += [f"Sempronio heard {answer!r}" for answer in seen.answers[OTHER] if not re.search(ACCEPTED, answer)][:1]
    if seen.decided != {LOGIN: [WITHIN] * ROOM + [OVER] * (MESSAGES - ROOM), OTHER: [WITHIN] * ours}:
        wrong.append(f"Vaglio decided {seen.decided}")
    if seen.landed != ours:
        wrong.append(f"{seen.landed} messages of Sempronio's landed instead of {ours}")
    if not seen.why:
        wrong.append(f"vaglio why {seen.ref} says nothing")
    if len(seen.alarms) != 1:
        wrong.append(f"{len(seen.alarms)} lines of Vaglio's log say {ALARM!r}, not one")
    if not re.search(QUOTA, seen.quota):
        wrong.append(f"vaglio ratelimit quota {LOGIN} says {seen.quota!r}")
    return tuple(wrong)


def play(world: World, say: Callable[[str], None]) -> Hijack:
    """Have the thief send, and Sempronio in between, and look at what the admin can see. LabError if it can't be."""
    say(f"\n{TITLE}\n  {LOGIN} sends {MESSAGES} messages from {THIEF}, {OTHER} some from {OFFICE}")
    say(f"  An account may write to {LIMIT} recipients in an hour; Tizio's own {LIMIT - ROOM} letters leave {ROOM}.")
    say(f"  | From: <{LOGIN}>\n  | Subject: {SUBJECT}")
    before = len(_made(world))
    answers: dict[str, list[str]] = {LOGIN: [], OTHER: []}
    mailbox = "claudia@caio.it"
    for begin in range(0, MESSAGES, ROUND):
        victims = [f"victim{number}@caio.it" for number in range(begin, begin + ROUND)]
        answers[LOGIN] += _submit(world, LOGIN, THIEF, victims, SUBJECT)
        answers[OTHER] += _submit(world, OTHER, OFFICE, [mailbox], "Minutes of the meeting")
        refused = [answer for answer in answers[LOGIN] if not re.search(ACCEPTED, answer)]
        say(f"  {begin + ROUND} messages: {begin + ROUND - len(refused)} accepted, {len(refused)} not")
        if 0 < len(refused) <= ROUND:
            say(f"  Postfix answers {refused[0]}")
    say(f"  Meanwhile it answers {OTHER} {answers[OTHER][-1]}")
    ours = MESSAGES // ROUND
    until(lambda: len(world.dovecot.mailbox(mailbox)) >= ours, "Sempronio's messages at caio's", 60)
    until(lambda: len(world.ratelimit.decisions(from_=OTHER)) >= ours, "all decisions")
    made = _made(world)[before:]
    ref = next((found["ref"] for found in made if "ref" in found), "")
    return Hijack(
        answers,
        {login: [_in_words(found) for found in made if found["from"] == login] for login in answers},
        len(world.dovecot.mailbox(mailbox)),
        ref,
        why(world.space, ref, TIZIOS_CONFIG) if ref else "",
        [line for line in world.ratelimit.log().splitlines() if ALARM in line],
        said(world.space, "ratelimit", "quota", LOGIN, config=TIZIOS_CONFIG).strip(),
    )


def _made(world: World) -> list[dict[str, str]]:
    return [found for found in decisions(world.ratelimit.log()) if found.get("reason") != "counted-later"]


def _submit(world: World, login: str, address: str, recipients: Sequence[str], subject: str) -> list[str]:
    """Send each of them a message in one session; return the answers."""
    with world.submit(address, login, PASSWORDS[login]) as client:
        return [str(client.send(login, [to], letter(login, to, subject)).last) for to in recipients]


def _in_words(found: dict[str, str]) -> str:
    return f"vaglio-ratelimit {found['verdict']}: {found['reason']}"


def ends(seen: Hijack) -> list[tuple[str, str]]:
    """Return each message's sender and end for the summary."""
    thief = ["accepted (the limit of the account)", "refused for now (over the limit)"]
    counts = (seen.accepted, len(seen.answers[LOGIN]) - seen.accepted)
    of_thief = [(ACTOR, end) for end, count in zip(thief, counts, strict=True) for _ in range(count)]
    return of_thief + [("Sempronio, meanwhile", "in INBOX")] * seen.landed


def rows(seen: Hijack, wrong: Sequence[str]) -> list[list[str]]:
    """Return the lines of the closing table for this scene."""
    way = "by submission (587, STARTTLS, AUTH PLAIN)"
    refused = next(iter(seen.answers[LOGIN][seen.accepted :]), "(nothing)")
    return [
        [
            f"{LOGIN}\nto {seen.accepted} victims\nfrom {THIEF}\n{way}", seen.answers[LOGIN][0],
            f"{seen.decided[LOGIN].count(WITHIN)} times\n{WITHIN}", "on its way", "",
        ],
        [
            f"the same\nto {MESSAGES - seen.accepted} more victims", refused,
            f"{seen.decided[LOGIN].count(OVER)} times\n{OVER}\nvaglio why {seen.ref} says:\n{seen.why}\n"
            f"and the log says:\n{' '.join(seen.alarms)}",
            "not delivered", "",
        ],
        [
            f"{OTHER}\nto claudia@caio.it\nfrom {OFFICE}\n{way}", seen.answers[OTHER][-1],
            f"{seen.decided[OTHER].count(WITHIN)} times\n{WITHIN}", f"{seen.landed} in the INBOX of claudia@caio.it",
            "NO" if wrong else "yes",
        ],
    ]  # fmt: skip
