"""The scene in Caio's folders: what he moves into Junk teaches Bayes, also where that had learned the contrary."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lab import shown
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
STATUS = f"learned: {SPAM + FRAUDS} messages of spam, {HAM - FRAUDS} of wanted mail\nBayes has no say yet"
ENDS = [(CAIO, f"of the forger's moved into {JUNK}, and learned by Bayes")] * FRAUDS
"""What the summary says of it."""


@dataclass(frozen=True, slots=True)
class Lessons:
    """What ``vaglio learn`` said of the inbox, of Junk once Caio had moved mail there, and of Junk once more, and what
    ``vaglio bayes status`` says of it.
    """

    inbox: str
    junk: str
    again: str
    status: str


def judge(seen: Lessons) -> tuple[str, ...]:
    """Return what was not as it ought to be; nothing if all was."""
    said = [("learn", seen.inbox, LEARNED), ("learn", seen.junk, MOVED), ("learn", seen.again, KNOWN),
            ("bayes status", seen.status, STATUS)]  # fmt: skip
    return tuple(f"vaglio {command} says {found!r}, not {wanted!r}"
                 for command, found, wanted in said if not found.startswith(wanted))  # fmt: skip


def play(world: World, say: Callable[[str], None]) -> Lessons:
    """Learn, move, learn, and look at what came of it. LabError if that can't be."""
    say(f"\n{TITLE}")
    inbox = _learn(world, say, "ham", INBOX)
    say(f"  Caio moves what speaks of a {FRAUD} into {JUNK}:")
    for message in world.dovecot.mailbox(CAIO, INBOX):
        if FRAUD.encode() in message:
            say(f"  | {shown.in_a_line(message)}")
    world.dovecot.move(CAIO, INBOX, JUNK, "body", FRAUD)
    junk = _learn(world, say, "spam", JUNK)
    again = _learn(world, say, "spam", JUNK)
    status = do(world.space, "bayes", "status").strip()
    say("  vaglio bayes status: " + status.replace("\n", "\n  "))
    return Lessons(inbox, junk, again, status)


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
