"""``vaglio dkim rotate``: new keys take the place of old ones, one step at each run, none before the DNS is ready."""

from __future__ import annotations

import argparse
import asyncio
import math
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from typing import Any, NamedTuple

from vaglio.checks.dkim.signing.published import gone, judge
from vaglio.checks.dkim.signing.record import record_name, revoked_text
from vaglio.checks.dkim.signing.ring import (
    Ring,
    RingKey,
    retire_due,
    revoke,
    switch,
    unrevoked,
    without_revoked,
)
from vaglio.checks.dkim.signing.survey import Judge, Survey
from vaglio.cli.arguments import count, unix_time
from vaglio.cli.common import (
    CliError,
    Commands,
    WrongUsage,
    clean,
    command,
    configuration,
    day_of,
    now,
    paragraph,
    print_json,
    usual_options,
    warn,
)
from vaglio.cli.dkim_ask import Asker, asked, asking_options, explained, told
from vaglio.cli.dkim_folder import Folder, domain, folders, key_directory, selector
from vaglio.cli.dkim_new import bits_option, make, remark_on_bits, selectors_for, to_publish
from vaglio.cli.dkim_records import ToPublish, show
from vaglio.config.load import Loaded

TO_PUBLISH = 3
"""Exit status while the DNS is not as it must be for the next step."""

QUEUE_DAYS = 5
"""So long a mail server tries to deliver a message (Postfix: maximal_queue_lifetime)."""

_DAY = 86400
_PAUSE = 60.0
_MORE = f"""\
Run it again and again, by hand or daily by a timer; each run takes the step that can be taken, and says what you must
do for the next one:
 1 no change is under way, and new keys are due: it makes them and prints their records;
 2 not all name servers of the zone tell them yet: it says which don't, and changes nothing;
 3 all tell them: they sign from now on. The old ones are retired: their records must stay, and are printed again where
   they were taken away;
 4 --days later: it prints the records with an empty p= that shall take their place;
 5 all name servers tell those: the old keys are revoked. Their files stay, until --purge.
A key that somebody else has: --revoke SELECTOR, given at each run, makes new keys at once, and as soon as they sign
prints the record with an empty p= for that one.
With --wait --json all steps are in the JSON at the end, and what is to be published on stderr at once.
Keys of the directory key_dir only; those of OpenDKIM come there by "vaglio dkim import --copy-keys". Run it as root, to
whom the directory belongs.
Exit status 0 when you need do nothing now, {TO_PUBLISH} while something is to be published, 1 for an error."""


def add_to(commands: Commands) -> None:
    """Add the subcommand."""
    parser = command(
        commands, "rotate", _rotate, "replace keys by new ones, step by step, as far as the DNS allows",
        "vaglio dkim rotate tizio.it\n"
        "vaglio dkim rotate tizio.it --at-once --wait\n"
        "vaglio dkim rotate tizio.it --revoke 20261122r   # a stolen key\n"
        "vaglio dkim rotate --all                 # what a daily timer runs",
        _MORE,
    )  # fmt: skip
    parser.add_argument("domain", nargs="?", type=domain, metavar="DOMAIN", help="keys of this domain")
    parser.add_argument("--all", action="store_true", help="of all domains in key_dir")
    parser.add_argument("--days", type=count, default=30, metavar="N",
                        help="how long records of retired keys stay (default 30): more than signatures hold "
                             f"(dkim.sign.valid) and {QUEUE_DAYS} days in a queue")  # fmt: skip
    parser.add_argument("--every", type=count, default=180, metavar="N",
                        help="new keys are due when the newest one has signed for N days (default 180)")  # fmt: skip
    parser.add_argument("--at-once", action="store_true",
                        help="new keys are due now, also while records of retired ones still stand")  # fmt: skip
    parser.add_argument("--revoke", action="append", default=[], type=selector, metavar="SELECTOR",
                        help="a key that somebody else has: new ones are due now, its record gets an empty p= as soon "
                             "as they sign")  # fmt: skip
    parser.add_argument("--wait", action="store_true",
                        help="ask each minute until all name servers tell what they must")  # fmt: skip
    parser.add_argument("--purge", action="store_true", help="delete revoked keys, their files too")
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, and change nothing")
    parser.add_argument("--now", type=unix_time, metavar="UNIX", help="the time, by which keys are due")
    bits_option(parser)
    asking_options(parser)
    usual_options(parser)


class Turn(NamedTuple):
    """What a run did for a domain, or found. ``records`` are to be published; ``lacking`` is who does not tell them."""

    domain: str
    step: str
    text: str
    records: Sequence[ToPublish] = ()
    lacking: Sequence[str] = ()

    @property
    def status(self) -> int:
        """The exit status."""
        return TO_PUBLISH if self.records else 0

    def row(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {"domain": self.domain, "step": self.step, "text": self.text, "lacking": list(self.lacking),
                "publish": [record.row() for record in self.records]}  # fmt: skip


def _rotate(args: argparse.Namespace) -> int:
    loaded = configuration(args)
    _check_days(args.days, loaded)
    if args.revoke and args.all:
        raise WrongUsage("--revoke SELECTOR is for the keys of one DOMAIN")
    remark_on_bits(args.rsa_bits)
    work = [_Rotation(args, loaded, folder) for folder in _chosen(args, loaded)]
    run = _Run(args.json, args.wait)
    waiting = run.round(work, may_fail=args.all)
    while waiting and args.wait and not args.dry_run:
        asyncio.run(_pause())
        waiting = run.round(waiting, may_fail=args.all)
    if args.json:
        print_json({"turns": [turn.row() for turn in run.turns], "errors": run.errors})
    elif not run.turns and not run.errors:
        print("there is nothing to do")
    return 1 if run.errors else max((turn.status for turns in run.last.values() for turn in turns), default=0)


class _Run:
    """What happens to all domains, round by round. ``turns`` has each step once, ``last`` those of the last round."""

    def __init__(self, is_json: bool, waits: bool) -> None:
        self._is_json, self._waits = is_json, waits
        self.turns: list[Turn] = []
        self.last: dict[str, list[Turn]] = {}
        self.errors: list[dict[str, str]] = []

    def round(self, work: Sequence[_Rotation], *, may_fail: bool) -> list[_Rotation]:
        """Take the steps that can be taken, and tell of them; return what something is to be published for."""
        waiting = []
        for one in work:
            try:
                turns = one.run()
            except CliError as error:
                if not may_fail:
                    raise
                warn(str(error))  # the other domains go on
                self.errors.append({"domain": one.domain, "text": str(error)})
                self.last.pop(one.domain, None)
                continue
            before, self.last[one.domain] = self.last.get(one.domain, []), turns
            self._tell([turn for turn in turns if turn not in before])
            if any(turn.status for turn in turns):
                waiting.append(one)
        return waiting

    def _tell(self, turns: Sequence[Turn]) -> None:
        """Tell of turns: of those whose records were shown already, only who does not tell them."""
        told = [turn.records for turn in self.turns if turn.records]
        for turn in turns:
            if turn.records and turn.records in told:
                for line in turn.lacking:
                    warn(f"waiting: {line}")
            elif not self._is_json:
                _tell([turn])
            elif self._waits:  # a program gets it all at the end, and until then somebody has to publish
                with redirect_stdout(sys.stderr):
                    _tell([turn])
        self.turns += turns


async def _pause() -> None:
    await asyncio.sleep(_PAUSE)


def _check_days(days: int, loaded: Loaded) -> None:
    """A key stays in the DNS until the last message that it signed was verified."""
    least = math.ceil(loaded.config.dkim.sign.valid / _DAY) + QUEUE_DAYS
    if days < least:
        raise WrongUsage(f"--days {days}: found fewer than {least}: signatures hold {least - QUEUE_DAYS} days "
                         f"(dkim.sign.valid), and {QUEUE_DAYS} more a message may wait in a queue")  # fmt: skip


def _chosen(args: argparse.Namespace, loaded: Loaded) -> list[Folder]:
    above = key_directory(loaded)
    found = folders(above)
    if bool(args.domain) == args.all and (args.all or len(found) != 1):
        raise WrongUsage(f"say DOMAIN or --all: in {above} are keys of {len(found)} domains")
    if not args.domain:
        return found
    chosen = [folder for folder in found if folder.domain == args.domain]
    if not chosen:
        raise CliError(f"there are no keys of {args.domain} in {above}: vaglio dkim new {args.domain} makes some; "
                       "those that the configuration or OpenDKIM's tables name are not rotated")  # fmt: skip
    return chosen


class _Rotation:
    """What happens to the keys of a domain."""

    def __init__(self, args: argparse.Namespace, loaded: Loaded, folder: Folder) -> None:
        self._args, self._loaded, self._folder = args, loaded, folder
        self._at_once: bool = args.at_once
        self._again = " ".join(["vaglio dkim rotate", folder.domain, *(f"--revoke {name}" for name in args.revoke)])

    @property
    def domain(self) -> str:
        """The domain."""
        return self._folder.domain

    def run(self) -> list[Turn]:
        """Take the steps that can be taken now. Raises CliError."""
        ring, unix = self._folder.load(), now(self._args)
        turns, at_once, self._at_once = [], self._at_once, False  # once only, however long it waits
        if ring.of("new"):
            turns.append(self._publish(ring, unix))
            ring = self._folder.load()
        elif (at_once and ring.of("signing")) or any(key.state == "signing" for key in self._stolen(ring)):
            turns.append(self._begin(ring, unix))
        if due := self._due(ring, unix):
            turns.append(self._revoke(due, unix))
        if not turns:
            turns.append(self._rest(ring, unix))
        if self._args.purge:
            turns += self._purge()
        return turns

    def _stolen(self, ring: Ring) -> list[RingKey]:
        """Return the keys that are not to be believed any more. Raises CliError."""
        keys = {key.selector: key for key in ring.keys}
        for name in self._args.revoke:
            if name not in keys:
                raise CliError(f"--revoke {name}: {self.domain} has no such key: see vaglio dkim list {self.domain}")
            if keys[name].state == "new":
                raise CliError(f"--revoke {name}: found a new key, wanted one that signs or has signed")
        return [keys[name] for name in dict.fromkeys(self._args.revoke)]

    def _due(self, ring: Ring, unix: float) -> list[RingKey]:
        """Return the keys whose records are to get an empty p=."""
        due = {*retire_due(ring, unix, self._args.days), *self._stolen(ring)}
        return [key for key in unrevoked(ring) if key in due]

    # --- new keys ---

    def _rest(self, ring: Ring, unix: float) -> Turn:
        """Begin, unless there is a reason to wait."""
        waiting = unrevoked(ring)
        if waiting:
            if lost := self._lost(waiting):
                return self._put_back(waiting, lost)
            days = max(math.ceil((key.retired or 0) / _DAY + self._args.days - unix / _DAY) for key in waiting)
            more = f"{days} more day{'s' if days != 1 else ''}"
            return self._turn("retiring", f"leave the records of {_names(waiting)} as they are for {more}")
        signing = ring.of("signing")
        if not signing:
            raise CliError(f"no key of {ring.domain} signs: vaglio dkim new {ring.domain} makes some")
        due = max(key.switched or 0 for key in signing) + self._args.every * _DAY
        if due > unix:
            return self._turn("resting", f"new keys are due on {day_of(due)} (or --at-once)")
        return self._begin(ring, unix)

    def _lost(self, waiting: Sequence[RingKey]) -> dict[str, list[str]]:
        """Return who no longer tells the keys that messages on their way were signed by, for each selector."""

        async def work(asker: Asker) -> dict[str, list[str]]:
            surveys = [asker.survey(record_name(self.domain, key.selector), self._gone(key)) for key in waiting]
            return {key.selector: [f"{found.name}: {told(view)}" for view in asker.minded(found) if view.found.fits]
                    for key, found in zip(waiting, await asyncio.gather(*surveys), strict=True)}  # fmt: skip

        return {name: lines for name, lines in asked(self._args, self._loaded, work).items() if lines}

    def _put_back(self, waiting: Sequence[RingKey], lost: dict[str, list[str]]) -> Turn:
        keys = [key for key in waiting if key.selector in lost]
        text = (f"the records of {_names(keys)} were taken away too early: mail that they signed is still on its way. "
                "Put these back; if somebody else has such a key, don't, and run "
                f"vaglio dkim rotate {self.domain} --revoke SELECTOR")  # fmt: skip
        return self._turn("lost", text, self._records(keys), [line for lines in lost.values() for line in lines])

    def _begin(self, ring: Ring, unix: float) -> Turn:
        algorithms = tuple(dict.fromkeys(key.algorithm for key in ring.of("signing")))
        if self._args.dry_run:
            return self._turn("would-begin", f"new keys would be made ({', '.join(algorithms)})")
        with self._folder.change() as change:
            if (now_there := change.load()) != ring:
                raise CliError(f"another command has changed the keys of {ring.domain} meanwhile: run this again")
            chosen = selectors_for(change, now_there, algorithms, unix)
            ring = make(change, ring, chosen, self._args.rsa_bits, unix)
            change.save(ring)
        text = f"new keys are made. Publish these records, then run {self._again} again"
        return self._turn("begun", text, self._records(ring.of("new")))

    def _publish(self, ring: Ring, unix: float) -> Turn:
        """Let the new keys sign if all name servers tell them."""
        new = ring.of("new")
        judges = {key.selector: self._judge(key) for key in new}
        lacking = self._survey(judges)
        if lacking:
            text = f"not all name servers tell {_names(new)} yet: nothing is changed"
            return self._turn("waiting", text, self._records(new), lacking)
        if self._args.dry_run:
            return self._turn("would-switch", f"would sign from now on: {_names(new)}, which all name servers tell")
        with self._folder.change() as change:
            meanwhile = change.load()
            if meanwhile.of("new") != new:
                raise CliError(f"another command has changed the keys of {ring.domain} meanwhile: run this again")
            ring = switch(meanwhile, unix)
            change.save(ring)
        stolen = self._stolen(ring)
        retired = [key for key in ring.of("retired") if key.retired == int(unix) and key not in stolen]
        more = f"; leave the records of {_names(retired)} as they are for {self._args.days} days" if retired else ""
        return self._turn("switched", f"signing from now on: {_names(new)}, which all name servers tell{more}")

    def _judge(self, key: RingKey) -> Judge:
        private, name = self._folder.key(key), record_name(self._folder.domain, key.selector)
        return lambda answer: judge(answer, name, private)

    def _records(self, keys: Sequence[RingKey]) -> list[ToPublish]:
        return [to_publish(self._folder.domain, key.selector, self._folder.key(key)) for key in keys]

    # --- old keys ---

    def _revoke(self, due: Sequence[RingKey], unix: float) -> Turn:
        """Take note of the keys that are no longer published; say what is to be published for the others."""
        lacking = {key.selector: self._survey({key.selector: self._gone(key)}) for key in due}
        seen, rest = [key for key in due if not lacking[key.selector]], [key for key in due if lacking[key.selector]]
        if seen and not self._args.dry_run:
            with self._folder.change() as change:
                change.save(revoke(change.load(), [key.selector for key in seen], unix))
        done = f"revoked at all name servers: {_names(seen)}" if seen else ""
        if not rest:
            return self._turn("revoked", f"{done}. The records can go, and --purge deletes the files")
        domain_name = self._folder.domain
        records = [ToPublish(domain_name, record_name(domain_name, key.selector), revoked_text(key.algorithm))
                   for key in rest]  # fmt: skip
        stolen = [key for key in rest if key.selector in self._args.revoke]
        texts = [f"nobody shall believe {_names(stolen)} any more"] if stolen else []
        if old := [key for key in rest if key not in stolen]:
            texts.append(f"no mail signed by {_names(old)} is on its way any more")
        text = f"{'; '.join(texts)}. Publish these records in place of theirs"
        return self._turn("revoke", f"{done}; {text}" if done else text, records,
                          [line for key in rest for line in lacking[key.selector]])  # fmt: skip

    def _gone(self, key: RingKey) -> Judge:
        name = record_name(self._folder.domain, key.selector)
        return lambda answer: gone(answer, name)

    def _purge(self) -> list[Turn]:
        _, old = without_revoked(self._folder.load())
        if not old:
            return []
        if self._args.dry_run:
            return [self._turn("would-purge", f"would be deleted: {_names(old)}")]
        with self._folder.change() as change:
            ring, old = without_revoked(change.load())
            change.save(ring)
            for key in old:
                change.delete(key.file)
        return [self._turn("purged", f"deleted: {_names(old)}")]

    # --- both ---

    def _survey(self, judges: dict[str, Judge]) -> list[str]:
        """Return who does not tell what they should, in words; nothing where all do."""

        async def work(asker: Asker) -> list[str]:
            found = await asyncio.gather(*(asker.survey(record_name(self._folder.domain, selector), one)
                                           for selector, one in judges.items()))  # fmt: skip
            return [line for one in found if not asker.is_seen(one) for line in _lines(asker, one)]

        return asked(self._args, self._loaded, work)

    def _turn(
        self, step: str, text: str, records: Sequence[ToPublish] = (), lacking: Sequence[str] = ()
    ) -> Turn:  # fmt: skip
        return Turn(self._folder.domain, step, text, records, lacking)


def _lines(asker: Asker, found: Survey) -> list[str]:
    return [f"{found.name}: {line}" for line in (*map(told, asker.lacking(found)), *explained(found))]


def _names(keys: Sequence[RingKey]) -> str:
    return " and ".join(key.selector for key in keys)


def _tell(turns: Sequence[Turn]) -> None:
    for turn in turns:
        print(clean(f"{turn.domain}: {turn.text}."))
        for line in turn.lacking:
            print(paragraph(clean(line)))
        if turn.records:
            print()
            show(list(turn.records))
