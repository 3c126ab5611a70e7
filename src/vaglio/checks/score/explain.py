"""A score in plain words, English and Italian: what weighed, what it led to, and whose move it is.

The sentences of the rules come from the journal, as they were when the message was judged; a fact that an older entry
lacks reads ``?``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from vaglio.checks.score.decide import MAX_FOREIGN, Reason
from vaglio.verdict import REHEARSAL, Fact

_WHY: Mapping[str, Mapping[str, str]] = {
    "en": {
        Reason.CLEAN: "It scored {score}{of}: no spam.",
        Reason.SPAM: "It scored {score}{of}: spam.",
        Reason.TOO_MANY_FOREIGN: f"It brought along more than {MAX_FOREIGN} X-Spam headers; so many are not taken out "
        "one by one.",
        Reason.AUTHENTICATED: "It was not scored: its sender had logged in.",
        Reason.LOCAL: "It was not scored: this machine wrote it.",
        Reason.TRUSTED: "It was not scored: its client is in score.trusted_networks.",
    },
    "it": {
        Reason.CLEAN: "Ha avuto {score} punti{of}: non è spam.",
        Reason.SPAM: "Ha avuto {score} punti{of}: è spam.",
        Reason.TOO_MANY_FOREIGN: f"Portava con sé più di {MAX_FOREIGN} intestazioni X-Spam: tante non si tolgono una "
        "per una.",
        Reason.AUTHENTICATED: "Non gli sono stati dati punti: il mittente si era autenticato.",
        Reason.LOCAL: "Non gli sono stati dati punti: l'ha scritto questa macchina.",
        Reason.TRUSTED: "Non gli sono stati dati punti: il client è in score.trusted_networks.",
    },
}
_WORDS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "of": " of {required}",
        "because": "What weighed: {because}.",
        "capped": "Caps of groups took away: {capped}.",
        "silent": "Lists that did not answer: {silent}.",
        "read": "Only its first {read} bytes of {size} were read.",
        "learned": "It was learned automatically as {learned}.",
        "foreign_fields": "X-Spam headers that it brought along were taken out: {foreign_fields}.",
        "foreign_left": "X-Spam headers that it brought along would have been taken out: {foreign_fields}.",
        "tagged": "It was taken, and says so in its headers (X-Spam-Flag: YES).",
        "decided": "{by} decided, which is {threshold}.",
        "move": 'If it is not spam: "vaglio score FILE" tells what each rule gave; change the points of a rule that '
        "errs (score.scores), and teach Bayes: vaglio learn ham FILE.",
        "missed": 'If it is spam all the same, teach Bayes: vaglio learn spam FILE.',
        "sender": "It is the sender's move, who was told: write it otherwise, or by other means.",
        "held": "It is the admin's move: look at it, release or delete it.",
        "foreign": "It is the move of whoever sent it: no honest message has them. It was not taken.",
        "rehearsed": "This was a rehearsal: nothing was done to it.",
        "would": "In earnest its headers would have said so (X-Spam-Flag: YES).",
    },
    "it": {
        "of": " su {required}",
        "because": "Che cosa ha pesato: {because}.",
        "capped": "I tetti dei gruppi hanno tolto: {capped}.",
        "silent": "Liste che non hanno risposto: {silent}.",
        "read": "Ne sono stati letti solo i primi {read} byte su {size}.",
        "learned": "È stato imparato automaticamente come {learned}.",
        "foreign_fields": "Intestazioni X-Spam che portava con sé, e che sono state tolte: {foreign_fields}.",
        "foreign_left": "Intestazioni X-Spam che portava con sé, e che sarebbero state tolte: {foreign_fields}.",
        "tagged": "È stato accettato, e lo dice nelle intestazioni (X-Spam-Flag: YES).",
        "decided": "Ha deciso {by}, che è {threshold}.",
        "move": 'Se non è spam: "vaglio score FILE" dice quanto ha dato ogni regola; si cambino i punti di quella che '
        "sbaglia (score.scores), e si insegni a Bayes: vaglio learn ham FILE.",
        "missed": "Se è spam lo stesso, si insegni a Bayes: vaglio learn spam FILE.",
        "sender": "Tocca al mittente, che lo sa dalla risposta: scriva in altro modo, o per altra via.",
        "held": "Tocca all'amministratore: guardarlo, rilasciarlo o cancellarlo.",
        "foreign": "Tocca a chi l'ha spedito: nessun messaggio onesto ne ha. Non è stato accettato.",
        "rehearsed": "Era una prova: non gli è stato fatto nulla.",
        "would": "Sul serio le intestazioni lo avrebbero detto (X-Spam-Flag: YES).",
    },
}


class _Facts(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return "?"


_SAID = ("because", "capped", "silent", "foreign_fields", "read", "learned")

_ACCENTED = re.compile(r"\b(c'e|da|e|gia|perche|piu|pubblicita|puo|sara|verra|cio|cosi|eredita)'(?!\w)", re.IGNORECASE)
_ACCENTS = {"a": "à", "e": "è", "i": "ì", "o": "ò", "u": "ù"}


def accented(italian: str) -> str:
    """Return a sentence of a rule, which is ASCII since a reply may carry it, as one writes it."""
    return _ACCENTED.sub(_with_accent, italian)


def _with_accent(found: re.Match[str]) -> str:
    word = found[1]
    last = "é" if word.lower() == "perche" else _ACCENTS[word[-1].lower()]
    return word[:-1] + (last.upper() if word[-1].isupper() else last)


def advice(reason: str, facts: Mapping[str, Fact], language: str) -> tuple[str, str]:
    """Return what is so, and who must do what; "" where nobody must."""
    language = language if language in _WHY else "en"
    words, filled = _WORDS[language], _filled(facts, language)
    filled["of"] = words["of"].format_map(filled) if "required" in facts else ""
    said = [_WHY[language].get(reason, "")]
    rehearsal = facts.get(REHEARSAL)
    renamed = {"foreign_fields": "foreign_left"} if rehearsal else {}
    said += [words[renamed.get(name, name)] for name in _SAID if facts.get(name)]
    if reason == Reason.TOO_MANY_FOREIGN:
        return said[0], words["foreign"]
    move = words["move"] if reason == Reason.SPAM else words["missed"] if reason == Reason.CLEAN else ""
    if facts.get("spam") and rehearsal and "by" not in facts:
        said.append(words["would"])
    return " ".join(filter(None, said)).format_map(filled), move


def explain(reason: str, facts: Mapping[str, Fact], language: str, rehearsed: bool) -> tuple[str, str]:
    """Return why it was decided so, and what happens next. In a rehearsal nothing was done, and it says so."""
    language = language if language in _WHY else "en"
    words = _WORDS[language]
    why, move = advice(reason, facts, language)
    if reason == Reason.TOO_MANY_FOREIGN:
        return why, move
    done = []
    if rehearsed or facts.get(REHEARSAL):
        done.append(words["rehearsed"])
    elif by := facts.get("by"):
        done += [words["decided"].format_map(_filled(facts, language)), words[_DONE[str(by)]]]
    elif facts.get("spam"):
        done.append(words["tagged"])
    return why, " ".join(filter(None, [*done, move]))


_DONE = {"score.reject": "sender", "score.hold": "held"}


def _filled(facts: Mapping[str, Fact], language: str) -> _Facts:
    filled = _Facts({name: f"{fact:g}" if isinstance(fact, float) else str(fact) for name, fact in facts.items()})
    if language == "it":
        filled["because"] = accented(str(facts.get("because_it", facts.get("because", "?"))))
    return filled


def brief(reason: str, facts: Mapping[str, Fact], language: str) -> str:
    """Return a clause of the message's story: "score 7.3 of 5 (NO_SUBJECT 1.2, ...)"; "" where it was not scored."""
    if "score" not in facts:
        return ""
    words, filled = _WORDS[language if language in _WORDS else "en"], _filled(facts, language)
    of = words["of"].format_map(filled) if "required" in facts else ""
    heaviest = ", ".join(str(facts.get("symbols", "")).split(", ")[:3])
    said = {"en": "spam score", "it": "punti di spam"}.get(language, "spam score")
    text = f"{said} {filled['score']}{of}" + (f" ({heaviest})" if heaviest and reason == Reason.SPAM else "")
    rehearsed = facts.get("spam") and facts.get(REHEARSAL)
    return text + {"en": ", in rehearsal", "it": ", per prova"}.get(language, ", in rehearsal") * bool(rehearsed)
