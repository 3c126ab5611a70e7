"""One verdict from those of several checks: the strongest wins, and among equals the first in order says why. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from vaglio.verdict import STRENGTH, Action, Fact, Verdict

CHAIN = "chain"
"""The check that a verdict of several is said to be of."""

PASSED = "passed"
"""Reason where no check of a chain had anything against the message."""


def combined(found: Mapping[str, Verdict]) -> Verdict:
    """Return the verdict of a chain; ``found`` are those of its checks, in order. That of a single check stands as it
    is.

    The facts of a chain are those of its checks, each behind the check's name, as in ``spf.domain``, with its
    ``spf.reason``; ``decided_by`` is the check that won, if one did.
    """
    if len(found) == 1:
        return next(iter(found.values()))
    verdicts = list(found.values())
    facts = {f"{check}.{key}": fact for check, one in found.items() for key, fact in _facts(one).items()}
    decisive = _decisive(verdicts)
    if decisive is None:
        decisive = Verdict(Action.PASS, CHAIN, PASSED)
    else:
        facts["decided_by"] = decisive.check
    return decisive._replace(
        check=CHAIN,
        headers=tuple(header for one in verdicts for header in one.headers),
        changes=tuple(change for one in verdicts for change in one.changes),
        results=tuple(result for one in verdicts for result in one.results),
        facts=facts,
        ref=decisive.ref or next((one.ref for one in verdicts if one.ref), ""),
    )


def _decisive(verdicts: list[Verdict]) -> Verdict | None:
    """Return the verdict that is carried out; if none is, the strongest of those that only rehearse."""
    strongest = max(verdicts, key=lambda one: STRENGTH.index(one.action), default=None)
    if strongest is not None and strongest.action is Action.PASS:
        rehearsing = [one for one in verdicts if one.rehearsed]
        return max(rehearsing, key=lambda one: STRENGTH.index(one.rehearsed or one.action), default=None)
    return strongest


def _facts(verdict: Verdict) -> dict[str, Fact]:
    return {"reason": verdict.reason, **verdict.facts}
