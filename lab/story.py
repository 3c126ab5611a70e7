"""Plays the scenes for real and prints what happened: ``python -m lab.story``, as root (scripts/run does).

Exit status 0 only if every scene went as told, 1 if one did not, 2 if the lab could not be set up.
"""

from __future__ import annotations

import re
import shutil
import sys
from dataclasses import dataclass
from itertools import zip_longest

from lab.logs import Delivery
from lab.scenes import SCENES, TIZIOS_POSTFIX, Scene
from lab.smtp import Client, letter
from lab.table import table
from lab.vaglio import why
from lab.waiting import LabError, clock, until
from lab.world import CAIO, TIZIO, World

DELAY = 5
"""Seconds that Vaglio makes a first contact wait, so that nobody has to watch for five minutes."""

PATIENCE = 60
"""Seconds until a scene counts as failed."""

COLUMNS = ("what was sent", "what Postfix answered", "what Vaglio decided, and why", "where it landed", "as told")


@dataclass(frozen=True, slots=True)
class Seen:
    """What became of one attempt: when (seconds after the message was sent), Postfix's answer, Vaglio's decision.

    ``why`` is what ``vaglio why`` says of the decision's reference, where it has one.
    """

    seconds: float
    answer: str
    decision: dict[str, str]
    why: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A scene as it was played; ``wrong`` says in words what was not as told."""

    scene: Scene
    seen: tuple[Seen, ...]
    landed: tuple[bytes, ...]
    wrong: tuple[str, ...]


def judge(scene: Scene, seen: tuple[Seen, ...], landed: tuple[bytes, ...]) -> tuple[str, ...]:
    """Return what was not as the scene tells it; nothing if all was."""
    wrong = [] if len(seen) == len(scene.attempts) else [f"{len(seen)} attempts instead of {len(scene.attempts)}"]
    for number, (want, got) in enumerate(zip(scene.attempts, seen, strict=False), 1):
        if not re.search(want.answer, got.answer):
            wrong.append(f"attempt {number}: Postfix answered {got.answer!r}, not {want.answer!r}")
        decided = got.decision.get("verdict"), got.decision.get("reason")
        if decided != (want.verdict, want.reason):
            wrong.append(f"attempt {number}: Vaglio decided {decided}, not {(want.verdict, want.reason)}")
        if got.decision.get("ref") and not got.why:
            wrong.append(f"attempt {number}: vaglio why {got.decision['ref']} says nothing")
    if len(landed) != scene.lands:
        wrong.append(f"{len(landed)} messages landed instead of {int(scene.lands)}")
    for message in landed:
        lines = _headers(message)
        wrong += [
            f"not exactly one header {header!r}"
            for header in scene.headers
            if sum(bool(re.match(header, line)) for line in lines) != 1
        ]
    return tuple(wrong)


class Stage:
    """One scene in play; what was there before it began does not count."""

    def __init__(self, world: World, scene: Scene) -> None:
        self._world, self._scene = world, scene
        self._before = len(self._deliveries()), len(self._decisions()), len(self._mailbox())
        self._answers: list[tuple[float, str]] = []
        self._told = 0
        self._begin = clock()

    def send(self) -> None:
        """Hand the message to tizio's Postfix, or try caio's directly."""
        scene, by_postfix = self._scene, self._scene.way == TIZIOS_POSTFIX
        server, address = (TIZIO.address, TIZIO.address) if by_postfix else (CAIO.address, scene.way)
        with Client(self._world.space, server, address) as client:
            done = client.send(scene.sender, [scene.recipient], letter(scene.sender, scene.recipient, scene.title))
        if not by_postfix:
            self._answers.append((clock() - self._begin, str(done.last)))
        elif done.last.code != 250:
            raise LabError(f"tizio's own Postfix refused the message: {done.last}")

    def over(self) -> bool:
        """Say what is new; return whether all that should happen did."""
        attempts = self.attempts()
        for seconds, answer in attempts[self._told :]:
            say(f"  +{seconds:.0f} s  Postfix answers {answer}")
        self._told = len(attempts)
        if not attempts or (attempts[-1][1].startswith("4") and len(attempts) < len(self._scene.attempts)):
            tick(f"  +{clock() - self._begin:.0f} s  waiting for tizio's Postfix to try again by itself")
            return False
        told_why = len(self._decisions()) - self._before[1] >= len(attempts)
        return told_why and (bool(self.landed()) or not attempts[-1][1].startswith("2"))

    def attempts(self) -> list[tuple[float, str]]:
        """Return seconds and caio's answer for each attempt so far."""
        return self._answers or [(try_.seconds, try_.answer) for try_ in self._deliveries()[self._before[0] :]]

    def seen(self) -> tuple[Seen, ...]:
        """Return the attempts with Vaglio's decision for each."""
        pairs = zip_longest(self.attempts(), self._decisions()[self._before[1] :])
        return tuple(self._seen(attempt or (0.0, "(nothing)"), decision or {}) for attempt, decision in pairs)

    def _seen(self, attempt: tuple[float, str], decision: dict[str, str]) -> Seen:
        ref = decision.get("ref", "")
        return Seen(*attempt, decision, why(self._world.space, ref) if ref else "")

    def landed(self) -> tuple[bytes, ...]:
        """Return the messages that arrived in the recipient's mailbox."""
        return tuple(self._mailbox()[self._before[2] :])

    def _deliveries(self) -> list[Delivery]:
        return self._world.tizio.deliveries(self._scene.recipient)

    def _decisions(self) -> list[dict[str, str]]:
        daemons = self._world.daemons
        return [found for daemon in daemons for found in daemon.decisions(to=self._scene.recipient)]

    def _mailbox(self) -> list[bytes]:
        return self._world.caio.mailbox(self._scene.recipient)


def play(world: World, scene: Scene) -> Outcome:
    """Play one scene to its end, or until it takes too long."""
    say(f"\n{scene.title}\n  {scene.sender} writes to {scene.recipient}, by {scene.way}")
    stage = Stage(world, scene)
    stage.send()
    try:
        until(stage.over, "the end of the scene", PATIENCE, step=0.2)
    except LabError as error:
        say(f"  {error}")
    seen, landed = stage.seen(), stage.landed()
    outcome = Outcome(scene, seen, landed, judge(scene, seen, landed))
    say(f"  In the end: {_fate(outcome)}".replace("\n", "\n  "))
    return outcome


def _fate(outcome: Outcome) -> str:
    """Return where the message landed, and the headers it was told to have."""
    if not outcome.landed:
        return "not delivered"
    headers = [line for message in outcome.landed for line in _headers(message)
               for wanted in outcome.scene.headers if re.match(wanted, line)]  # fmt: skip
    return "\n".join([f"Maildir of {outcome.scene.recipient}", *headers])


def _headers(message: bytes) -> list[str]:
    """Return the header lines of a message, unfolded."""
    head = message.partition(b"\n\n")[0].decode("utf-8", "replace")
    return re.sub(r"\n[ \t]+", " ", head).split("\n")


def rows(outcome: Outcome) -> list[list[str]]:
    """Return the lines of the closing table for one scene: one for each attempt, the message's fate in the last."""
    scene, last = outcome.scene, len(outcome.seen) - 1
    return [
        [
            f"{scene.sender}\nto {scene.recipient}\nby {scene.way}\nat +{seen.seconds:.0f} s",
            seen.answer,
            _explained(seen),
            _fate(outcome) if number == last else "",
            ("NO" if outcome.wrong else "yes") if number == last else "",
        ]
        for number, seen in enumerate(outcome.seen)
    ]


def _explained(seen: Seen) -> str:
    """Return the decision, its reference and what ``vaglio why`` says of it."""
    decision = seen.decision
    lines = [f"{decision.get('verdict', 'nothing')}: {decision.get('reason', '')}"]
    if ref := decision.get("ref"):
        lines += [f"vaglio why {ref} says:", seen.why]
    return "\n".join(lines)


_live = sys.stdout.isatty()


def say(text: str) -> None:
    """Print text for who watches, at once."""
    print(f"\r\033[K{text}" if _live else text, flush=True)


def tick(text: str) -> None:
    """Show that something still goes on: a line that is overwritten; nothing where that can't be."""
    if _live:
        print(f"\r\033[K{text}", end="", flush=True)


def main() -> int:
    """Set up the world, play all scenes, print the table."""
    say("Setting up a name server, two Postfix instances and vaglio-greylist in namespaces of their own ...")
    say(f"(For this story the delay of a first contact is shortened from 5 minutes to {DELAY} seconds,")
    say(" and tizio's Postfix retries after some 8 seconds.)")
    try:
        with World({"delay": f'"{DELAY}s"'}) as world:
            outcomes = [play(world, scene) for scene in SCENES]
            logs = "\n".join([*(daemon.log() for daemon in world.daemons), world.caio.log()])
            sections = [(outcome.scene.title, rows(outcome)) for outcome in outcomes]
    except LabError as error:
        print(f"The story could not be played: {error}", file=sys.stderr)
        return 2
    width = max(100, min(150, shutil.get_terminal_size((120, 40)).columns))
    say("\n" + table(COLUMNS, sections, (22, 28, 32, 26, 5), width))
    wrong = [f"{outcome.scene.title}: {what}" for outcome in outcomes for what in outcome.wrong]
    for line in wrong:
        say(f"NOT AS TOLD: {line}")
    if wrong:
        say(f"\nThe logs of caio's side:\n{logs}")
    say("Not all went as told." if wrong else "All went as told.")
    return 1 if wrong else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        say("Interrupted; nothing is left running.")
        sys.exit(130)
