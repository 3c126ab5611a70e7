"""Marks in the subject in plain words, English and Italian: which one was put or taken away, and why.

The sentences are filled from the facts of the journal; a fact that an older entry lacks reads ``?``.
"""

from __future__ import annotations

from collections.abc import Mapping

from vaglio.checks.tag.decide import Reason
from vaglio.verdict import REHEARSAL, Fact

_WHY: Mapping[str, Mapping[str, str]] = {
    "en": {
        Reason.TAGGED: "Its subject was marked {tags}, since a rule holds ({rules}).",
        Reason.ALREADY_TAGGED: "Its subject has the mark {tags} already, and a rule wants it ({rules}).",
        Reason.CLEANED: "The mark {removed} was taken from its subject, since no rule holds: it was not we who put it "
        "there, or it came back with an answer.",
        Reason.NOTHING: "",
        Reason.REFUSED: "",
        Reason.OWN_MAIL: "",
    },
    "it": {
        Reason.TAGGED: "L'oggetto è stato contrassegnato con {tags}, perché vale una regola ({rules}).",
        Reason.ALREADY_TAGGED: "L'oggetto ha già il contrassegno {tags}, che una regola vuole ({rules}).",
        Reason.CLEANED: "Il contrassegno {removed} è stato tolto dall'oggetto, perché nessuna regola vale: lo ha messo "
        "qualcun altro, o è tornato con una risposta.",
        Reason.NOTHING: "",
        Reason.REFUSED: "",
        Reason.OWN_MAIL: "",
    },
}  # fmt: skip
_IN_REHEARSAL: Mapping[str, Mapping[str, str]] = {
    "en": {
        Reason.TAGGED: "Its subject would have been marked {tags}, since a rule holds ({rules}).",
        Reason.CLEANED: "The mark {removed} would have been taken from its subject, since no rule holds: it was not we "
        "who put it there, or it came back with an answer.",
    },
    "it": {
        Reason.TAGGED: "L'oggetto sarebbe stato contrassegnato con {tags}, perché vale una regola ({rules}).",
        Reason.CLEANED: "Il contrassegno {removed} sarebbe stato tolto dall'oggetto, perché nessuna regola vale: lo ha "
        "messo qualcun altro, o è tornato con una risposta.",
    },
}
_MORE = {
    "en": {
        "removed": "{removed} was taken from its front before: only ours count.",
        "rehearsal": "This was a rehearsal: the subject stayed as it was.",
        "would": 'Its subject would be marked {would}, if the score were in earnest (score.mode = "rehearse").',
        "passed": "It passed on.",
        "move": "If the mark is wrong, the rule is the admin's to change.",
    },
    "it": {
        "removed": "Prima ne è stato tolto {removed}: contano solo i nostri.",
        "rehearsal": "Era una prova: l'oggetto è rimasto com'era.",
        "would": "L'oggetto sarebbe contrassegnato con {would}, se i punti non fossero una prova "
        '(score.mode = "rehearse").',
        "passed": "È passato.",
        "move": "Se il contrassegno è sbagliato, tocca all'amministratore cambiare la regola.",
    },
}
_BRIEF: Mapping[str, Mapping[str, str]] = {
    "en": {Reason.TAGGED: "subject marked {tags}", Reason.ALREADY_TAGGED: "subject marked {tags} already",
           Reason.CLEANED: "{removed} taken from the subject",
           "would": "in earnest the subject would be marked {would}"},
    "it": {Reason.TAGGED: "oggetto contrassegnato con {tags}",
           Reason.ALREADY_TAGGED: "oggetto già contrassegnato con {tags}",
           Reason.CLEANED: "{removed} tolto dall'oggetto",
           "would": "sul serio l'oggetto sarebbe contrassegnato con {would}"},
}  # fmt: skip
_REHEARSED: Mapping[str, Mapping[str, str]] = {
    "en": {Reason.TAGGED: "subject would have been marked {tags}",
           Reason.CLEANED: "{removed} would have been taken from the subject"},
    "it": {Reason.TAGGED: "l'oggetto sarebbe stato contrassegnato con {tags}",
           Reason.CLEANED: "{removed} sarebbe stato tolto dall'oggetto"},
}  # fmt: skip


class _Facts(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return "?"


def _filled(text: str, facts: Mapping[str, Fact]) -> str:
    return text.format_map(_Facts({name: str(fact) for name, fact in facts.items()}))


def advice(reason: str, facts: Mapping[str, Fact], language: str) -> tuple[str, str]:
    """Return what is so, and who must do what; "" where nobody must."""
    language = language if language in _WHY else "en"
    more = _MORE[language]
    rehearsal = _IN_REHEARSAL[language].get(reason, "") if facts.get(REHEARSAL) else ""
    said = [rehearsal or _WHY[language].get(reason, "")]
    if reason == Reason.TAGGED and facts.get("removed") and not rehearsal:
        said.append(more["removed"])
    if rehearsal:
        said.append(more["rehearsal"])
    if facts.get("would"):
        said.append(more["would"])
    move = more["move"] if reason == Reason.TAGGED else ""
    return _filled(" ".join(filter(None, said)), facts), move


def explain(reason: str, facts: Mapping[str, Fact], language: str, rehearsed: bool) -> tuple[str, str]:  # noqa: ARG001
    """Return why the subject is as it is, and what happens next. A message is never refused for its subject, so that a
    rehearsal is told by the facts.
    """
    why, move = advice(reason, facts, language)
    passed = _MORE[language if language in _MORE else "en"]["passed"]
    return why, f"{passed} {move}".strip()


def brief(reason: str, facts: Mapping[str, Fact], language: str) -> str:
    """Return a clause of the message's story: "subject marked [SPAM]"; "" where nothing was marked, nor would be."""
    language = language if language in _BRIEF else "en"
    known = _BRIEF[language]
    done = _REHEARSED[language].get(reason, "") if facts.get(REHEARSAL) else ""
    words = (done or known.get(reason, ""), known["would"] if facts.get("would") else "")
    return _filled("; ".join(filter(None, words)), facts)
