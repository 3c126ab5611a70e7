"""What became of a deferred message, as far as the triplets tell: for ``vaglio why``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

from vaglio.checks.greylist.decide import DEFERRED, Exempt, Reason, Triplet, expired
from vaglio.checks.greylist.settings import GreylistSettings
from vaglio.cli.common import moment
from vaglio.cli.greylist_judge import Judgement, judge
from vaglio.config.load import Loaded
from vaglio.config.types import format_duration
from vaglio.facts import Envelope, Facts, Session, Stage, Standing, client_of
from vaglio.journal.entry import Entry


class State(StrEnum):
    """What became of it."""

    LET_IN = "let-in"
    WAITING = "waiting"
    NEVER = "never-retried"
    UNKNOWN = "unknown"


class Since(NamedTuple):
    """What became of it: in a word, in a sentence, and when it was let in (Unix seconds) after how many seconds since
    the first contact; None where it was not or nobody knows.
    """

    state: State
    text: str
    at: int | None = None
    waited: int | None = None


_SENTENCES: Mapping[str, Mapping[str, str]] = {
    "en": {
        "let-in": "let in at {at} after {waited} seconds",
        "known": "it is let in by now, since when is not known",
        "waiting": "still waiting: last seen at {last}, and it may come back until {until}",
        "never-retried": "never came back from {pool} within {window}",
        "anew": "never came back from {pool} within {window}; a new first contact was made at {first}",
        "unasked": "nobody can tell whether it came back: by now it passes unasked ({reason})",
        "crowded": "nobody can tell: it was not even remembered",
        "forgotten": "nothing is remembered of it from {pool}",
        # of a rehearsal, in which nobody was deferred
        "let-in rehearsed": "wrote again at {at}, {waited} seconds after the first contact: it would have been let in",
        "waiting rehearsed": "has not written again since {last}; {until} is the last moment that would count",
        "never-retried rehearsed": "did not write again from {pool} within {window}, and had no reason to",
    },
    "it": {
        "let-in": "accettato il {at} dopo {waited} secondi",
        "known": "ormai viene accettato, da quando non si sa",
        "waiting": "ancora in attesa: visto l'ultima volta il {last}, può tornare fino al {until}",
        "never-retried": "non è mai tornato da {pool} entro {window}",
        "anew": "non è tornato da {pool} entro {window}; un nuovo primo contatto c'è stato il {first}",
        "unasked": "non si sa se sia tornato: ormai passa senza attesa ({reason})",
        "crowded": "non si sa: non è stato nemmeno ricordato",
        "forgotten": "non se ne ricorda nulla da {pool}",
        "let-in rehearsed": "ha scritto di nuovo il {at}, {waited} secondi dopo il primo contatto: sarebbe stato "
        "accettato",
        "waiting rehearsed": "dal {last} non ha più scritto; conterebbe fino al {until}",
        "never-retried rehearsed": "non ha più scritto da {pool} entro {window}, e non ne aveva motivo",
    },
}


def since(loaded: Loaded, entries: Sequence[Entry], now: int, language: str) -> list[Since | None]:
    """Return what became of each entry; None for one that was no deferral. Raises CliError."""
    settings = loaded.config.greylist
    asked = [entry for entry in entries if _deferred(entry)]
    found = iter(judge(loaded, [_request(entry, settings) for entry in asked], now, lambda _: None) if asked else ())
    return [_since(entry, next(found), now, settings, language) if _deferred(entry) else None for entry in entries]


def _deferred(entry: Entry) -> bool:
    return entry.check == "greylist" and entry.reason in DEFERRED


def _request(entry: Entry, settings: GreylistSettings) -> Facts:
    """Return the request as it was; one that was deferred in ``scope = "listed"`` came from a listed client."""
    stage = Stage.DATA if not entry.sender and settings.null_sender == "data" else Stage.RCPT
    client = client_of(entry.client, entry.client_name, entry.client_name)._replace(standing=Standing.LISTED)
    return Facts(client, Envelope(entry.sender, entry.recipient), Session(stage))


def _since(
    entry: Entry, found: Exempt | Judgement, now: int, settings: GreylistSettings, language: str
) -> Since:
    triplet = None if isinstance(found, Exempt) else found.triplet
    state, key = _state(entry, found, now, settings)
    sentences = _SENTENCES[language]
    sentence = sentences.get(f"{key} rehearsed") if entry.rehearsed else None
    known = triplet or Triplet()
    text = (sentence or sentences[key]).format(
        at=moment(known.passed),
        waited=known.passed - known.first,
        first=moment(known.first),
        last=moment(known.last),
        until=moment(known.first + settings.retry_window),
        window=format_duration(settings.retry_window),
        pool="" if isinstance(found, Exempt) else found.case.pool.name,
        reason=found.reason if isinstance(found, Exempt) else found.decision.reason,
    )
    return Since(state, text, known.passed, known.passed - known.first) if key == "let-in" else Since(state, text)


def _state(
    entry: Entry, found: Exempt | Judgement, now: int, settings: GreylistSettings
) -> tuple[State, str]:
    """Return what became of it, and the key of the sentence."""
    if isinstance(found, Exempt):
        return State.UNKNOWN, "unasked"
    triplet, crowded = found.triplet, entry.reason == Reason.TOO_MANY
    if triplet and triplet.first > entry.at + 1 and not crowded:
        return State.NEVER, "anew"
    if triplet and triplet.passed:  # what was imported from another greylister has passed == first
        return State.LET_IN, "let-in" if triplet.passed > max(triplet.first, entry.at - 1) else "known"
    if found.decision.reason in (Reason.AUTO_POOL, Reason.AUTO_DOMAIN):
        return State.UNKNOWN, "unasked"
    if triplet and not expired(triplet, now, settings):
        return State.WAITING, "waiting"
    if triplet or (settings.retry_window < now - entry.at <= settings.lifetime and not crowded):
        return State.NEVER, "never-retried"
    return State.UNKNOWN, "crowded" if crowded else "forgotten"
