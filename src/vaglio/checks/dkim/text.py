"""What a refused client is told, and the results as parts of Authentication-Results (RFC 8601 2.7.1, RFC 6008).

Italian is written without accents: a reply may go to clients that did not ask for SMTPUTF8 (RFC 6531 3.7.4.1).
"""

from __future__ import annotations

from collections.abc import Sequence

from vaglio.checks.dkim.decide import Decision
from vaglio.checks.dkim.outcome import Reason, Result
from vaglio.checks.dkim.signature import Signature
from vaglio.checks.dkim.verify import Judged
from vaglio.checks.replytext import filled
from vaglio.verdict import Action, AuthResult, Reply

_SHIPPED = {
    "en": {
        "none": "DKIM: the message has no signature, and is not taken without; its sender's admin must have it signed",
        "temperror": "DKIM temperror: the signature of {domain} could not be verified: {problem}; please try again "
        "later",
        "fail": "DKIM fail: the message is not as {domain} signed it: {problem}; send it directly, or as it was",
        "other": "DKIM {result}: the signature of {domain} is not accepted: {problem}; its admin must repair it",
    },
    "it": {
        "none": "DKIM: il messaggio non ha firma, e senza non si accetta; l'amministratore del mittente deve firmarlo",
        "temperror": "DKIM temperror: la firma di {domain} non e' verificabile ora: {problem}; riprovare piu' tardi",
        "fail": "DKIM fail: il messaggio non e' come {domain} lo ha firmato: {problem}; va spedito direttamente, o "
        "com'era",
        "other": "DKIM {result}: la firma di {domain} non si accetta: {problem}; il suo amministratore deve "
        "correggerla",
    },
}
_MARK = 8
"""Characters of b= that are shown: more only where they are not enough to tell signatures apart (RFC 6008 3)."""


def reply(decision: Decision, ref: str, language: str) -> Reply:
    """Return the refusal, in ``language`` where there is a text in it, with the codes of RFC 7372 3.1."""
    judged = decision.judged
    result = judged.result if judged else Result.NONE
    words = _SHIPPED.get(language, _SHIPPED["en"])
    values = {
        "domain": (judged.signature.domain if judged else "")[:80] or "?",
        "problem": judged.words[:160] if judged else "",
        "result": result.value,
    }
    text = filled(words.get(result.value, words["other"]), values, ref)
    code = "7.21" if result is Result.POLICY else "7.20"  # no acceptable signature; none that passes
    if result is Result.TEMPERROR:
        code = "7.5"  # RFC 3463 3.8: cryptographic failure
    return Reply(451, f"4.{code}", text) if decision.action is Action.DEFER else Reply(550, f"5.{code}", text)


def results(found: Sequence[Judged]) -> tuple[AuthResult, ...]:
    """Return what goes into Authentication-Results: a result for each signature, ``none`` where there is none."""
    if not found:
        return (AuthResult("dkim", Result.NONE.value, comment="no signature"),)
    marks = [one.signature.mark for one in found]
    return tuple(
        AuthResult("dkim", one.result.value, _properties(one.signature, marks), one.words[:200], _comment(one))
        for one in found
    )


def _comment(one: Judged) -> str:
    if one.reason is Reason.PASS and one.beyond:
        return f"but for the last {one.beyond} bytes of the body"
    return f"{one.bits}-bit key" if one.reason is Reason.PASS and 0 < one.bits < 2048 and one.bits != 256 else ""


def _properties(signature: Signature, marks: Sequence[str]) -> tuple[tuple[str, str], ...]:
    pairs = (
        ("header.d", signature.domain),
        ("header.i", signature.identity),
        ("header.s", signature.selector),
        ("header.a", signature.algorithm),
        ("header.b", shortest(signature.mark, marks)),
    )
    return tuple((name, value) for name, value in pairs if value)


def shortest(mark: str, marks: Sequence[str]) -> str:
    """Return as much of b= as tells it from those of the others; eight characters where they are the same."""
    length = _MARK
    for other in marks:
        if other != mark:
            while length < len(mark) and other[:length] == mark[:length]:
                length += 1
    return mark[:length]
