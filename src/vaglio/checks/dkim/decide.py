"""What the results of all signatures lead to: one of them speaks for the message. No I/O, no clock, no texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from vaglio.checks.dkim.outcome import Reason, Result
from vaglio.checks.dkim.settings import DkimVerifySettings
from vaglio.checks.dkim.verify import Judged, distance
from vaglio.verdict import BY_POLICY, Action, Fact

_ORDER = (Result.PASS, Result.TEMPERROR, Result.FAIL, Result.POLICY, Result.PERMERROR, Result.NEUTRAL)
"""Which result speaks for the message: what may yet pass comes before what never will."""

_TOLD = 6


class Decision(NamedTuple):
    """What is done, why, by which signature (None if there is none), and which setting, "" if none refuses."""

    action: Action
    reason: Reason
    judged: Judged | None = None
    by: str = ""


def decide(found: Sequence[Judged], author: str, settings: DkimVerifySettings) -> Decision:
    """Return what is done with a message of this author's domain."""
    best = speaker(found, author)
    reason = best.reason if best else Reason.UNSIGNED
    result = best.result if best else Result.NONE
    if result is Result.PASS:
        return Decision(Action.PASS, reason, best)
    action = BY_POLICY[getattr(settings.policies, result.value)]
    by = "" if action is Action.PASS else f"dkim.verify.policies.{result}"
    return Decision(action, reason, best, by)


def speaker(found: Sequence[Judged], author: str) -> Judged | None:
    """Return the signature that speaks for the message: the best, and of equals that of the author's domain."""
    if len(found) < 2:
        return found[0] if found else None
    return min(found, key=lambda one: (_rank(one), distance(one.signature.domain, author)))


def _rank(one: Judged) -> int:
    return len(_ORDER) if one.reason is Reason.PASSED_OVER else _ORDER.index(one.result)


def basis(decision: Decision, found: Sequence[Judged], count: int) -> dict[str, Fact]:
    """Return what the decision rests on, for log and journal; ``count`` is the number of all signatures."""
    if decision.judged is None:
        known: dict[str, Fact] = {"result": Result.NONE.value}
    else:
        judged, signature = decision.judged, decision.judged.signature
        known = {"result": judged.result.value, "domain": signature.domain, "selector": signature.selector,
                 "algorithm": signature.algorithm}  # fmt: skip
        known |= {"problem": judged.words} if judged.words else {}
        known |= {"bits": judged.bits} if judged.bits else {}
        known |= {"beyond": judged.beyond} if judged.beyond else {}
    if count > 1:
        known["signatures"] = count
        known["all"] = ", ".join(f"{one.signature.domain or '?'}: {one.reason}" for one in found[:_TOLD])[:400]
    if decision.by:
        known["by"] = decision.by
    return known
