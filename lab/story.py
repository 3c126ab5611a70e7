"""Plays the scenes for real and prints what happened: ``python -m lab.story``, as root (scripts/run does).

It tells while it plays, and ends in a summary; a table with every answer, decision and reason goes into a file.

Exit status 0 only if every scene went as told, 1 if one did not, 2 if the lab could not be set up.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from email.utils import make_msgid
from itertools import zip_longest
from pathlib import Path

from lab import hijack, lessons, retold, shown
from lab.dovecot import INBOX, JUNK
from lab.logs import Delivery
from lab.scenes import COPY, DKIM_FAIL, OFFICE, PASSWORDS, SCENES, TRIED, Scene
from lab.smtp import Client, letter
from lab.table import table
from lab.vaglio import Told, said, told
from lab.waiting import LabError, clock, now, until
from lab.world import INBOUND, OUTBOUND, WITH_USERS, World, dnsbl_toml

DELAY = 3
"""Seconds that Vaglio makes a first contact wait, so that nobody has to watch for five minutes."""

PATIENCE = 60
"""Seconds until a scene counts as failed."""

_SIGNATURE = b"DKIM-Signature:"

REFUSES = "127.255.255.254"
"""By which a blocklist says that it does not answer us, and which is no listing."""

FILE = Path(__file__).resolve().parents[1] / ".cache/story.txt"
"""Where all is told once more, with what ``vaglio why`` says of each decision."""

COLUMNS = ("what was sent", "what Postfix answered", "what Vaglio decided, and why", "where it landed", "as told")


@dataclass(frozen=True, slots=True)
class Decision:
    """What a daemon decided, as scenes tell it; where there is a reference, also what ``vaglio why`` says of it."""

    what: str
    ref: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True)
class Seen:
    """What became of one attempt: when (seconds after the message was sent), Postfix's answer, Vaglio's decisions."""

    seconds: float
    answer: str
    decisions: tuple[Decision, ...]


@dataclass(frozen=True, slots=True)
class Played:
    """A scene as it was played with a message: each attempt's seconds and answer with the log lines of the decisions
    for it; ``warning`` is what Vaglio's log had to say, and ``elsewhere`` how many messages landed in another folder.
    """

    scene: Scene
    message: bytes
    attempts: tuple[tuple[float, str, list[dict[str, str]]], ...]
    landed: tuple[bytes, ...]
    warning: str
    elsewhere: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What can be seen of a scene, and what of it was not as told."""

    played: Played
    seen: tuple[Seen, ...]
    wrong: tuple[str, ...]


def judge(
    scene: Scene, seen: tuple[Seen, ...], landed: tuple[bytes, ...], warning: str = "", elsewhere: int = 0
) -> tuple[str, ...]:
    """Return what was not as the scene tells it; nothing if all was. ``elsewhere`` counts what landed in folders that
    the scene does not name.
    """
    wrong = [] if len(seen) == len(scene.attempts) else [f"{len(seen)} attempts instead of {len(scene.attempts)}"]
    for number, (want, got) in enumerate(zip(scene.attempts, seen, strict=False), 1):
        if not re.search(want.answer, got.answer):
            wrong.append(f"attempt {number}: Postfix answered {got.answer!r}, not {want.answer!r}")
        decided = tuple(decision.what for decision in got.decisions)
        if not _fits(want.decided, decided):
            wrong.append(f"attempt {number}: Vaglio decided {decided}, not {want.decided}")
        wrong += [f"attempt {number}: vaglio why {decision.ref} says nothing"
                  for decision in got.decisions if decision.ref and not decision.why]  # fmt: skip
    told = "\n".join(decision.why for got in seen for decision in got.decisions)
    wrong += [f"vaglio why does not say {words!r}, but {told!r}" for words in scene.why if not re.search(words, told)]
    if elsewhere:
        wrong.append(f"{elsewhere} messages landed in another folder than {scene.folder}")
    if len(landed) != scene.lands:
        wrong.append(f"{len(landed)} messages landed instead of {int(scene.lands)}")
    for message in landed:
        lines = shown.header_lines(message)
        wrong += [
            f"not exactly one header {header!r}"
            for header in scene.headers
            if sum(bool(re.match(header, line)) for line in lines) != 1
        ]
        wrong += [f"the header {line!r}" for line in lines if scene.without and re.match(scene.without, line)]
    if scene.warning and not warning:
        wrong.append(f"Vaglio's log has no {scene.warning!r}")
    return tuple(wrong)


def _fits(wanted: Sequence[str], decided: Sequence[str]) -> bool:
    return len(wanted) == len(decided) and all(map(re.fullmatch, wanted, decided))


def forged(mailbox: Sequence[bytes], text: str) -> bytes:
    """Return another text below the signatures of the last signed message and all of the header that follows them."""
    signed = next((message for message in reversed(mailbox) if _SIGNATURE in message), b"")
    header = signed.partition(_SIGNATURE)[2].partition(b"\n\n")[0]
    return _SIGNATURE + header + f"\n\n{text}\n".encode()


class Stage:
    """One scene in play; what was there before it began does not count."""

    def __init__(self, world: World, scene: Scene) -> None:
        self._world, self._scene = world, scene
        self._before = len(self._deliveries()), {folder: len(self._mailbox(folder)) for folder in (INBOX, JUNK)}
        self.message = self._letter()
        self._decided = [len(found) for found in self._all_decisions()]
        self._answers: list[tuple[float, str]] = []
        self._told = 0
        self._begin = self._tried = clock()

    def send(self) -> None:
        """Submit the message to tizio's Postfix, or try caio's directly."""
        scene = self._scene
        if scene.refusing:
            self._world.dns.zones.parrots[scene.refusing] = REFUSES
        self._tried = clock()
        with self._client() as client:
            done = client.send(scene.sender, [scene.recipient], self.message)
        if not scene.user:
            self._answers.append((clock() - self._begin, str(done.last)))
        elif done.last.code != 250:
            raise LabError(f"tizio's own Postfix refused the message: {done.last}")

    def _client(self) -> Client:
        world, scene = self._world, self._scene
        if not scene.user:
            return world.connect(scene.way)
        return world.submit(OFFICE, scene.user, PASSWORDS[scene.user])

    def _letter(self) -> bytes:
        scene = self._scene
        if scene.copying:
            return forged(self._mailbox(INBOX), scene.text)
        if scene.raw:
            return scene.raw.replace("{now}", now()).encode()
        author = scene.author or scene.sender
        # Strangers write no more than they must.
        dated = f"Date: {now()}\nMessage-ID: {make_msgid(domain='tizio.it')}\n" if scene.user else ""
        return (scene.bringing + dated + letter(author, scene.recipient, scene.subject, scene.text)).encode()

    def over(self) -> bool:
        """Say what is new; return whether all that should happen did."""
        attempts = self.attempts()
        for seconds, answer in attempts[self._told :]:
            say(f"  +{seconds:.0f} s  Postfix answers {answer}")
        self._told = len(attempts)
        if not attempts or (attempts[-1][1].startswith("4") and len(attempts) < len(self._scene.attempts)):
            tick(f"  +{clock() - self._begin:.0f} s  waiting for another attempt")
            if self._answers and clock() - self._tried > DELAY + 1:
                self.send()
            return False
        wanted = sum(len(attempt.decided) for attempt in self._scene.attempts[: len(attempts)])
        decided = sum(bool(found) for of_one in self._decisions() for found in of_one) >= wanted
        warned = bool(self.warning()) or not self._scene.warning
        landed = any(self.landed(folder) for folder in (INBOX, JUNK))
        return decided and warned and (landed or not attempts[-1][1].startswith("2"))

    def attempts(self) -> list[tuple[float, str]]:
        """Return seconds and caio's answer for each attempt so far."""
        return self._answers or [(try_.seconds, try_.answer) for try_ in self._deliveries()[self._before[0] :]]

    def played(self) -> Played:
        """Return what there is by now. Of Vaglio's decisions, a daemon's first ones belong to the first attempt."""
        decided = [[found for found in of_all if found] for of_all in zip_longest(*self._decisions())]
        pairs = zip_longest(self.attempts(), decided)
        attempts = tuple((*(attempt or (0.0, "(nothing)")), found or []) for attempt, found in pairs)
        folder = self._scene.folder
        elsewhere = sum(len(self.landed(other)) for other in (INBOX, JUNK) if other != folder)
        return Played(self._scene, self.message, attempts, self.landed(folder), self.warning(), elsewhere)

    def warning(self) -> str:
        """Return the line that the scene tells of, from the daemons' logs; "" where there is none."""
        lines = [line for daemon in self._world.daemons for line in daemon.log().splitlines()]
        return next((line for line in lines if self._scene.warning and re.search(self._scene.warning, line)), "")

    def landed(self, folder: str) -> tuple[bytes, ...]:
        """Return the messages that arrived in a folder of the recipient's."""
        return tuple(self._mailbox(folder)[self._before[1][folder] :])

    def _deliveries(self) -> list[Delivery]:
        return self._world.tizio.deliveries(self._scene.recipient)

    def _decisions(self) -> list[list[dict[str, str]]]:
        """Return what each daemon decided in this scene, for each attempt. The chain at caio's is asked about the last
        one only, since a message comes only behind recipients that were let in; the one at tizio's before the first.
        """
        found = [all_[before:] for all_, before in zip(self._all_decisions(), self._decided, strict=True)]
        missing = len(self.attempts()) - 1
        return [
            [{}] * missing + of_one if daemon.name == "vaglio-chain inbound" and of_one else of_one
            for daemon, of_one in zip(self._world.daemons, found, strict=True)
        ]

    def _all_decisions(self) -> list[list[dict[str, str]]]:
        return [
            [{"daemon": daemon.name, "config": daemon.config, **found}
             for found in daemon.decisions(to=self._scene.recipient)]
            for daemon in self._world.daemons
        ]

    def _mailbox(self, folder: str) -> list[bytes]:
        return self._world.dovecot.mailbox(self._scene.recipient, folder)


def play(world: World, scene: Scene) -> Played:
    """Play one scene to its end, or until it takes too long."""
    say(f"\n{scene.title}\n  {_who(scene)} writes to {scene.recipient}, by {scene.way}")
    stage = Stage(world, scene)
    for line in shown.lines(stage.message):
        say(f"  | {line}")
    stage.send()
    try:
        until(stage.over, "the end of the scene", PATIENCE, step=0.2)
    except LabError as error:
        say(f"  {error}")
    played = stage.played()
    say(f"  In the end: {_fate(played)}".replace("\n", "\n  "))
    if played.warning:
        say(f"  Vaglio's log says: {played.warning}")
    return played


def look(world: World, played: Sequence[Played]) -> list[Outcome]:
    """Look at what can be seen of the scenes, and judge them. Each host's ``vaglio why`` is asked once about all."""
    decided = [found for one in played for *_, of_attempt in one.attempts for found in of_attempt]
    words: dict[str, Told] = {}
    for config in {found["config"] for found in decided}:
        refs = [found["ref"] for found in decided if found["config"] == config and "ref" in found]
        words |= told(world.space, refs, config)
    with ThreadPoolExecutor(2) as pool:  # much of it is waiting for vaglio try
        return list(pool.map(lambda one: _outcome(world, one, words), played))


def _outcome(world: World, played: Played, words: Mapping[str, Told]) -> Outcome:
    scene = played.scene
    seen = tuple(
        Seen(seconds, answer, tuple(_decision(found, words) for found in decided))
        for seconds, answer, decided in played.attempts
    )
    wrong = judge(scene, seen, played.landed, played.warning, played.elsewhere)
    if scene in TRIED:
        decisions = [decision.what for one in seen for decision in one.decisions]
        wrong += tuple(retold.missing(world, scene, played.message, played.landed, decisions))
    return Outcome(played, seen, wrong)


def _decision(found: Mapping[str, str], words: Mapping[str, Told]) -> Decision:
    ref = found.get("ref", "")
    why, story = words.get(ref, Told())
    short = f"{found['daemon']}: {story}" if story else f"{found['daemon']} {found['verdict']}: {found['reason']}"
    return Decision(short, ref, why)


def _who(scene: Scene) -> str:
    """Return who writes: the envelope's sender, and who says otherwise."""
    others = {"logged in as": scene.login, "as": scene.author}
    return ", ".join([scene.sender, *(f"{how} {who}" for how, who in others.items() if who)])


def _fate(played: Played) -> str:
    """Return where the message landed, and the headers it was told to have."""
    if not played.landed:
        return "not delivered"
    headers = [line for message in played.landed for line in shown.header_lines(message)
               for wanted in played.scene.headers if re.match(wanted, line)]  # fmt: skip
    return "\n".join([f"{played.scene.folder} of {played.scene.recipient}", *headers])


def forgery(world: World, outcomes: Sequence[Outcome]) -> tuple[str, str]:
    """Return what vaglio why and vaglio try say of the message with a copied signature."""
    [copy] = [outcome for outcome in outcomes if outcome.played.scene is COPY]
    refs = [decision.ref for seen in copy.seen for decision in seen.decisions
            if re.fullmatch(DKIM_FAIL, decision.what)]  # fmt: skip
    return "\n".join(said(world.space, "why", ref) for ref in refs), retold.in_words(world, COPY, copy.played.message)


def rows(outcome: Outcome) -> list[list[str]]:
    """Return the lines of the closing table for one scene: one for each attempt, the message's fate in the last."""
    played, last = outcome.played, len(outcome.seen) - 1
    scene = played.scene
    return [
        [
            f"{_who(scene)}\nto {scene.recipient}\nby {scene.way}\nat +{seen.seconds:.0f} s",
            seen.answer,
            _explained(seen) + (f"\nand the log says:\n{played.warning}" if played.warning else ""),
            _fate(played) if number == last else "",
            ("NO" if outcome.wrong else "yes") if number == last else "",
        ]
        for number, seen in enumerate(outcome.seen)
    ]


def end(played: Played) -> tuple[str, str]:
    """Return who sent the message, and what became of it, for the summary."""
    scene, answer = played.scene, played.attempts[-1][1] if played.attempts else ""
    refused = {"4": "refused for now", "5": "refused"}.get(answer[:1], "lost")
    return scene.actor, f"{f'in {scene.folder}' if played.landed else refused} ({scene.gist})"


def _explained(seen: Seen) -> str:
    """Return the decisions, their references and what ``vaglio why`` says of them."""
    lines: list[str] = []
    for decision in seen.decisions:
        lines.append(decision.what)
        if decision.ref:
            lines += [f"vaglio why {decision.ref} says:", decision.why]
    return "\n".join(lines) or "nothing"


_live = sys.stdout.isatty()


def say(text: str) -> None:
    """Print text for who watches, at once."""
    print(f"\r\033[K{text}" if _live else text, flush=True)


def tick(text: str) -> None:
    """Show that something still goes on: a line that is overwritten; nothing where that can't be."""
    if _live:
        print(f"\r\033[K{text}", end="", flush=True)


def write(
    outcomes: Sequence[Outcome], stolen: hijack.Hijack, taught: lessons.Lessons, not_as_told: Sequence[str],
    not_learned: Sequence[str], heard: tuple[str, str, str],
) -> None:  # fmt: skip
    """Write the table of all that was played, and what commands said at the end: why, try and the lists' status."""
    why, tried, status = heard
    sections = [(outcome.played.scene.title, rows(outcome)) for outcome in outcomes]
    sections.append((hijack.TITLE, hijack.rows(stolen, not_as_told)))
    sections.append((lessons.TITLE, lessons.rows(taught, not_learned)))
    FILE.write_text(
        f"{table(COLUMNS, sections, (22, 28, 32, 26, 5), 160)}\n"
        f"\nThe message with the copied signature, as vaglio why tells of it:\n\n{why}"
        f"\nand as vaglio try does, which plays it through the chain without a mail server:\n\n{tried}"
        f"\nvaglio dnsbl status says in the end:\n\n{status}"
        f"\nvaglio bayes status says:\n\n{taught.status}\n"
        f"\nvaglio ratelimit quota {hijack.LOGIN} says:\n\n{stolen.quota}\n",
        "utf-8",
    )


def faults(
    outcomes: Sequence[Outcome], not_as_told: Sequence[str], not_learned: Sequence[str], status: str
) -> list[str]:
    """Return all that did not go as told."""
    wrong = [f"{outcome.played.scene.title}: {what}" for outcome in outcomes for what in outcome.wrong]
    wrong += [f"{hijack.TITLE}: {what}" for what in not_as_told]
    wrong += [f"{lessons.TITLE}: {what}" for what in not_learned]
    if any(scene.refusing for scene in SCENES) and "SUSPENDED: refuses-us" not in status:
        wrong.append("vaglio dnsbl status does not tell of the list that refuses us")
    return wrong


def main() -> int:
    """Set up the world, play all scenes, print the summary, write the table."""
    try:
        FILE.parent.mkdir(exist_ok=True)
        FILE.write_text("", "utf-8")  # what an earlier story left is not to be taken for this one's
    except OSError as error:
        print(f"The story could not be played: it could not be written to a file: {error}", file=sys.stderr)
        return 2
    say("Setting up a name server, two Postfix instances, vaglio-dnsbl, vaglio-greylist, vaglio-chain (SPF, DKIM,")
    say("scoring, tagging) and a Dovecot that files spam into Junk beside the one, vaglio-ratelimit and vaglio-chain")
    say("(signing) beside the other, in namespaces of their own.")
    say(f"(For this story the delay of a first contact is shortened from 5 minutes to {DELAY} seconds,")
    say(" and tizio's Postfix retries after some 6 seconds.)")
    try:
        with World(
            {"delay": f'"{DELAY}s"'}, None, dnsbl_toml({}), hijack.RATELIMIT, WITH_USERS, INBOUND, OUTBOUND, True
        ) as world:
            say(f"\nvaglio dkim new tizio.it has made keys for Tizio's host; into its zone go\n\n{world.records}")
            say(f"and vaglio dkim rotate tizio.it lets them sign:\n\n{world.rotated.rstrip()}")
            for login, password in PASSWORDS.items():
                world.tizio.add_login(login, password)
            played = [play(world, scene) for scene in SCENES]
            stolen = hijack.play(world, say)
            outcomes = look(world, played)
            taught = lessons.play(world, say)
            status = said(world.space, "dnsbl", "status")
            why, tried = forgery(world, outcomes)
            daemons = [*world.daemons, world.ratelimit]
            servers = (world.caio, world.dovecot, world.tizio)
            logs = "\n".join([*(daemon.log() for daemon in daemons), *(server.log() for server in servers)])
    except LabError as error:
        print(f"The story could not be played: {error}", file=sys.stderr)
        return 2
    not_as_told, not_learned = hijack.judge(stolen), lessons.judge(taught)
    write(outcomes, stolen, taught, not_as_told, not_learned, (why, tried, status))
    wrong = faults(outcomes, not_as_told, not_learned, status)
    ends = [*(end(outcome.played) for outcome in outcomes), *hijack.ends(stolen), *lessons.ENDS]
    failed = [outcome.played.scene.actor for outcome in outcomes if outcome.wrong]
    failed += [hijack.ACTOR] * bool(not_as_told) + [lessons.CAIO] * bool(not_learned)
    width = min(120, shutil.get_terminal_size((120, 40)).columns)
    say(f"\nWhat was sent, and what became of it:\n\n{shown.summary(ends, failed, width)}")
    say(f"\nEach attempt with Postfix's answer, and what vaglio why says of each decision: {FILE}\n")
    for line in wrong:
        say(f"NOT AS TOLD: {line}")
    if wrong:
        say(f"\nThe logs:\n{logs}")
    say("Not all went as told." if wrong else "All went as told.")
    return 1 if wrong else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        say("Interrupted; nothing is left running.")
        sys.exit(130)
