"""A decision in words, whichever check it is of: what was done, why, what happens next; and a message's whole story."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from vaglio.checks.dkim import explain as dkim
from vaglio.checks.dkim.signing import explain as signing
from vaglio.checks.dnsbl import explain as dnsbl
from vaglio.checks.greylist import explain as greylist
from vaglio.checks.ratelimit import explain as ratelimit
from vaglio.checks.score import explain as score
from vaglio.checks.spf import explain as spf
from vaglio.checks.tag import explain as tag
from vaglio.journal.entry import Entry
from vaglio.milter.combine import CHAIN
from vaglio.milter.session import MAX_FORGED, TOO_MANY_FORGED
from vaglio.verdict import FAILED, FORGED, REHEARSAL, TIMED_OUT, Fact

_Explainer = Callable[[str, Mapping[str, Fact], str, bool], tuple[str, str]]
_TOO_MANY = {
    "en": (f"It brought along more than {MAX_FORGED} results in our name; so many are not taken out one by one.",
           "It is the move of whoever sent it: no honest message has them. It was not taken."),
    "it": (f"Portava con sé più di {MAX_FORGED} risultati a nostro nome: tanti non si tolgono uno per uno.",
           "Tocca a chi l'ha spedito: nessun messaggio onesto ne ha. Non è stato accettato."),
}  # fmt: skip


def _too_many(reason: str, facts: Mapping[str, Fact], language: str, rehearsed: bool) -> tuple[str, str]:  # noqa: ARG001
    return _TOO_MANY[language]


_EXPLAINERS: Mapping[str, _Explainer] = {
    "greylist": greylist.explain, "dnsbl": dnsbl.explain, "ratelimit": ratelimit.explain,
    "spf": spf.explain, "dkim_verify": dkim.explain, "dkim_sign": signing.explain,
    "score": score.explain, "tag": tag.explain, TOO_MANY_FORGED.check: _too_many,
}  # fmt: skip
"""By check: the words for its reasons. Given reason, facts, language and whether it was a rehearsal."""

_ADVICE: Mapping[str, Callable[[str, Mapping[str, Fact], str], tuple[str, str]]] = {
    "spf": spf.advice, "dkim_verify": dkim.advice, "dkim_sign": signing.advice,
    "score": score.advice, "tag": tag.advice,
}  # fmt: skip
"""By check of messages: what is so, and who must do what. Given reason, facts and language."""

_FAILURES = {
    "en": {
        FAILED: "The check itself failed, so the setting on_error decided. The daemon's log has the cause.",
        TIMED_OUT: "The check missed its deadline, so the setting on_error decided.",
    },
    "it": {
        FAILED: "Il controllo stesso è fallito: ha deciso l'impostazione on_error. La causa è nel log del demone.",
        TIMED_OUT: "Il controllo non ha finito in tempo: ha deciso l'impostazione on_error.",
    },
}

_WORDS = {
    "en": {"defer": "deferred (come back later)", "reject": "refused for good", "hold": "put on hold",
           "discard": "discarded", "pass": "let through", "would": "let through; in earnest it would have been ",
           "header": "let through as it came; in earnest its header would have been changed"},
    "it": {"defer": "rimandato (riprovare più tardi)", "reject": "rifiutato", "hold": "trattenuto",
           "discard": "scartato", "pass": "lasciato passare",
           "would": "lasciato passare; fuori dalla prova sarebbe stato ",
           "header": "lasciato passare com'era; fuori dalla prova l'intestazione sarebbe stata cambiata"},
}  # fmt: skip
_PASSED_ALL_THE_SAME = {
    "en": "Nothing: this was a rehearsal, and the message went on its way.",
    "it": "Nulla: era una prova, e il messaggio ha proseguito.",
}

_FORGED = {
    "en": "Forged results in our name that it brought along: {count}.",
    "it": "Risultati contraffatti a nostro nome che portava con sé: {count}.",
}

_BRIEFS: Mapping[str, Callable[[str, Mapping[str, Fact], str], str]] = {
    "spf": spf.brief, "dkim_verify": dkim.brief, "dkim_sign": signing.brief, "score": score.brief,
    "tag": tag.brief,
}  # fmt: skip
"""By check of messages: one clause of the story. Given reason, facts and language."""

_END = {
    "en": {"pass": "delivered", "would": "delivered, since this is a rehearsal; in earnest it would have been ",
           "header": "delivered as it came, since this is a rehearsal"},
    "it": {"pass": "consegnato", "would": "consegnato, perché è una prova; sul serio sarebbe stato ",
           "header": "consegnato com'era, perché è una prova"},
}

_LEFT = {
    "en": "This was a rehearsal: its header stayed as it was.",
    "it": "Era una prova: l'intestazione è rimasta com'era.",
}

_TELL_IT_THEMSELVES = ("score", "tag")

_FAILED = {"en": "{check} failed", "it": "{check} non è riuscito"}


def outcome(entry: Entry, language: str) -> str:
    """Return what was done: "refused for good"."""
    words = _WORDS[language]
    if entry.rehearsed:
        return words["would"] + words.get(entry.rehearsed, entry.rehearsed)
    if entry.action == "pass" and entry.facts.get(REHEARSAL):
        return words["header"]
    return words.get(entry.action, entry.action)


def rehearsed(entry: Entry) -> str:
    """Return what was only rehearsed, if anything was: the action, or "pass" where it is a change of the header."""
    if entry.rehearsed or entry.action != "pass":
        return entry.rehearsed
    return "pass" if any(fact is True for name, fact in entry.facts.items() if _of(name) == REHEARSAL) else ""


def _of(name: str) -> str:
    """Return the name that a fact of a chain has with its check."""
    return name.rpartition(".")[2]


def explain(entry: Entry, language: str) -> tuple[str, str]:
    """Return why it was decided so and what happens next; at least the reason's slug."""
    if entry.check == CHAIN:
        why, then = _explain_chain(entry, language)
    else:
        why, then = _explain(entry.check, entry.reason, entry.facts, language, bool(entry.rehearsed))
    if entry.rehearsed:
        then = _PASSED_ALL_THE_SAME[language]
    elif entry.facts.get(REHEARSAL) and entry.check not in _TELL_IT_THEMSELVES:
        then = f"{_LEFT[language]} {then}".strip()
    if forged := entry.facts.get(FORGED):
        why = f"{why} {_FORGED[language].format(count=forged)}".strip()
    return why or entry.reason, then


def _explain(check: str, reason: str, facts: Mapping[str, Fact], language: str, rehearsed: bool) -> tuple[str, str]:
    if reason in _FAILURES["en"]:
        return _FAILURES[language][reason], ""
    explainer = _EXPLAINERS.get(check)
    return explainer(reason, facts, language, rehearsed) if explainer else ("", "")


def _explain_chain(entry: Entry, language: str) -> tuple[str, str]:
    """Explain the check that decided, else each in turn, with what somebody must do all the same."""
    told = _told(entry)
    decided = str(entry.facts.get("decided_by", ""))
    if decided in told:
        return _explain(decided, entry.reason, told[decided], language, bool(entry.rehearsed))
    whys, moves = [], []
    for check, facts in told.items():
        reason = str(facts.get("reason", ""))
        whys.append(_explain(check, reason, facts, language, False)[0])
        if check in _ADVICE:
            moves.append(_ADVICE[check](reason, facts, language)[1])
    return " ".join(filter(None, whys)), " ".join(filter(None, moves))


def _told(entry: Entry) -> dict[str, dict[str, Fact]]:
    """Return the facts of a chain's entry by check; where the whole chain rehearses, each of them does."""
    told = told_by(entry.facts)
    if entry.facts.get(REHEARSAL):
        return {check: {**facts, REHEARSAL: True} for check, facts in told.items()}
    return told


def told_by(facts: Mapping[str, Fact]) -> dict[str, dict[str, Fact]]:
    """Return the facts of a chain's entry by check."""
    told: dict[str, dict[str, Fact]] = {}
    for name, fact in facts.items():
        check, dot, key = name.partition(".")
        if dot:
            told.setdefault(check, {})[key] = fact
    return told


def story(entry: Entry, language: str) -> str:
    """Return the story of a message in a line: "SPF pass for tizio.it; delivered". "" for a decision that is none
    about a whole message.
    """
    if entry.check != CHAIN and entry.check not in _BRIEFS:
        return ""
    return "; ".join([*clauses(entry, language), _end(entry, language)])


def clauses(entry: Entry, language: str) -> list[str]:
    """Return what each check of messages found, in a clause: "SPF pass for tizio.it"."""
    told = _told(entry) if entry.check == CHAIN else {entry.check: {"reason": entry.reason, **entry.facts}}
    return list(filter(None, (_brief(check, facts, language) for check, facts in told.items())))


def _brief(check: str, facts: Mapping[str, Fact], language: str) -> str:
    reason = str(facts.get("reason", ""))
    if reason in _FAILURES["en"]:
        return _FAILED[language].format(check=check)
    brief = _BRIEFS.get(check)
    return brief(reason, facts, language) if brief else ""


def _end(entry: Entry, language: str) -> str:
    words, end = _WORDS[language], _END[language]
    if entry.rehearsed:
        return end["would"] + words.get(entry.rehearsed, entry.rehearsed)
    if entry.action == "pass" and entry.facts.get(REHEARSAL):
        return end["header"]
    return end["pass"] if entry.action == "pass" else words.get(entry.action, entry.action)
