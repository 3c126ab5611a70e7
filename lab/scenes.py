"""The scenes of the story, as data: who writes to whom by which way, and how it ought to go.

A new daemon adds scenes here, and its own doing to world.py; story.py plays whatever stands here.
"""

from __future__ import annotations

from dataclasses import dataclass

TIZIOS_POSTFIX = "mail.tizio.it"
"""A real mail host: it queues, and retries by itself."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt to hand the message to caio's Postfix, as it ought to go.

    ``answer`` is a regular expression that Postfix's answer holds; ``verdict`` and ``reason`` are Vaglio's.
    """

    answer: str
    verdict: str
    reason: str


@dataclass(frozen=True, slots=True)
class Scene:
    """A message and its fate.

    ``way`` is TIZIOS_POSTFIX, or the address of a client that tries once and never again. ``headers`` are regular
    expressions: each matches exactly one header line of the message that landed; ``lands`` False means that
    nothing does.
    """

    title: str
    way: str
    sender: str
    recipient: str
    attempts: tuple[Attempt, ...]
    lands: bool = True
    headers: tuple[str, ...] = ()


REFUSED_FOR_NOW = r"^45[01] 4\.7\.1 .*Greylisted.*ref [0-9A-Z]{4}-[0-9A-Z]{4}"
ACCEPTED = r"^250 "

SCENES = (
    Scene(
        "Tizio writes to Caio for the first time", TIZIOS_POSTFIX, "tizio@tizio.it", "caio@caio.it",
        (Attempt(REFUSED_FOR_NOW, "defer", "first-contact"), Attempt(ACCEPTED, "pass", "retried")),
        headers=("X-Greylist: delayed ",),
    ),
    Scene(
        "a guest in a home computer sends spam and never comes back", "198.51.100.66", "win@prizes.example",
        "sempronia@caio.it", (Attempt(REFUSED_FOR_NOW, "defer", "first-contact"),), lands=False,
    ),
    Scene(
        "Tizio writes to Caio again: nobody waits twice", TIZIOS_POSTFIX, "tizio@tizio.it", "caio@caio.it",
        (Attempt(ACCEPTED, "pass", "known"),),
    ),
)  # fmt: skip
