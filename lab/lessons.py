"""The scene in Caio's folders: what he moves into Junk teaches Bayes, also where that had learned the contrary."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lab.dovecot import INBOX, JUNK
from lab.scenes import FRAUD, SCENES
from lab.vaglio import do
from lab.world import World

TITLE = "Caio moves what slipped through into Junk, and Bayes learns from his folders"

CAIO = "caio@caio.it"
_LANDED = [scene for scene in SCENES if scene.lands and scene.recipient == CAIO]
FRAUDS = sum(FRAUD in scene.text for scene in _LANDED)
"""Forgers' letters that no rule knows for what they are."""
SPAM = sum(scene.folder == JUNK for scene in _LANDED)
HAM = len(_LANDED) - SPAM
"""What lies in his folders before he moves anything."""

LEARNED = f"messages: {HAM} learned as wanted mail"
MOVED = f"messages: {SPAM} learned as spam, {FRAUDS} moved to spam"
KNOWN = f"messages: {SPAM + FRAUDS} known already"
COUNTS = (SPAM + FRAUDS, HAM - FRAUDS)


@dataclass(frozen=True, slots=True)
class Lessons:
    """What ``vaglio learn`` said of the inbox, of Junk once Caio had moved mail there, and of Junk once more; how many
    were learned of each kind, spam first, and what ``vaglio bayes status`` says of it.
    """

    inbox: str
    junk: str
    again: str
    counts: tuple[int, int]
    ready: bool
    status: str


def judge(seen: Lessons) -> tuple[str, ...]:
    """Return what was not as it ought to be; nothing if all was."""
    said = ((seen.inbox, LEARNED), (seen.junk, MOVED), (seen.again, KNOWN))
    wrong = [f"vaglio learn says {found!r}, not {wanted!r}" for found, wanted in said if not found.startswith(wanted)]
    if seen.counts != COUNTS:
        wrong.append(f"{seen.counts} messages are learned, spam and wanted, not {COUNTS}")
    if seen.ready:
        wrong.append("Bayes has a say after so few messages")
    return tuple(wrong)


def play(world: World, say: Callable[[str], None]) -> Lessons:
    """Learn, move, learn, and look at what came of it. LabError if that can't be."""
    say(f"\n{TITLE}")
    inbox = _learn(world, say, "ham", INBOX)
    world.dovecot.move(CAIO, INBOX, JUNK, "body", FRAUD)
    say(f"  Caio moves what speaks of a {FRAUD} into Junk")
    junk = _learn(world, say, "spam", JUNK)
    again = _learn(world, say, "spam", JUNK)
    found = json.loads(do(world.space, "bayes", "status", "--json"))
    status = do(world.space, "bayes", "status").strip()
    say("  vaglio bayes status: " + status.replace("\n", "\n  "))
    return Lessons(inbox, junk, again, (found["spam"], found["ham"]), found["ready"], status)


def _learn(world: World, say: Callable[[str], None], kind: str, folder: str) -> str:
    said = do(world.space, "learn", kind, world.dovecot.maildir(CAIO, folder)).strip()
    say(f"  vaglio learn {kind}, of {folder}: {said.splitlines()[0]}")
    return said


def rows(seen: Lessons, wrong: Sequence[str]) -> list[list[str]]:
    """Return the lines of the closing table for this scene."""
    return [
        [f"{HAM} letters of Caio's {INBOX}", "", f"vaglio learn ham says:\n{seen.inbox}", INBOX, ""],
        [f"Caio moves {FRAUDS} of them into {JUNK}, where {SPAM} are", "",
         f"vaglio learn spam says:\n{seen.junk}\nand once more:\n{seen.again}", JUNK, "NO" if wrong else "yes"],
    ]  # fmt: skip
