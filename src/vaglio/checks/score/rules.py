"""Rules: what a message is held against, and how many points that gives. Pure: files are read by ``rulefiles``.

A rule file is TOML, a table for each rule::

    [[rule]]
    symbol = "PRIZE"                    # in capitals; how the rule is called everywhere
    score = 2.5                         # points; below 0 they speak for the message; 0: serves other rules, not shown
    en = "It promises a prize"          # why, for the sender and for "vaglio why"
    it = "Promette un premio"           # may be missing
    group = "promises"                  # may be missing: rules whose points are capped together
    body = 'you\\s+have\\s+won'           # what to look for: exactly one of those below

    [group.promises]
    cap = 4.0                           # most points that all rules of the group give together

What to look for:

- ``fact = "no-subject"``: a fact of the message (docs/score-rules.md has all)
- ``header = {name = "X-Mailer", pattern = "..."}`` in a value of such a field; ``{name = "Date", exists = false}``
- ``subject``, ``body`` (text as readers see it), ``hidden`` (text of pages that they don't), ``url``, ``host`` (of
  URLs), ``attachment`` (names of files): a pattern, see ``patterns``; ``case = true``: letter case counts
- ``keywords = {en = ["prize"], it = ["premio"]}``: whole words or phrases of the languages in score.languages;
  ``where = "subject"`` or ``"body"`` (the default), ``at_least = 2`` distinct ones (the default is 1)
- ``bayes = [0.99, 1.0]``: Bayes' probability, from the first to below the second (1.0 itself counts)
- ``all = [...]``, ``any = [...]``, ``not = [...]``: symbols of other rules and of lists (LISTED_...), alone or
  together; ``at_least = 2`` of ``any``

A rule with the symbol of one in an earlier file replaces it; within a file a symbol stands once. A rule with anything
wrong is left out, and what names it goes on as if it never fitted. ``score.scores`` changes points; 0 there switches a
rule off.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import NamedTuple

from vaglio.checks.score.case import Case, Hit
from vaglio.checks.score.finders import finders
from vaglio.checks.score.patterns import MAX_DETAIL, MAX_TOTAL
from vaglio.checks.score.ruletext import LISTED, Matches, Meta, Rule, RuleProblem, RuleText, read_text
from vaglio.checks.score.settings import ScoreSettings
from vaglio.config.words import meant, near

__all__ = ["Judgement", "Rule", "RuleProblem", "Ruleset", "load"]

MAX_RULES = 5000
SCORES = "score.scores"
"""What stands for the file in problems of that setting."""


class Judgement(NamedTuple):
    """What the rules say of a message: ``score`` is the sum of its ``hits``' points (most points first), less what the
    caps of groups cut off: ``capped`` has the groups and how much.
    """

    score: float
    hits: tuple[Hit, ...]
    capped: tuple[tuple[str, float], ...] = ()


class Ruleset:
    """Rules ready to be held against messages. ``rules`` are those in force, with their points in force."""

    def __init__(
        self, rules: Sequence[Rule], caps: Mapping[str, float], languages: Sequence[str], scores: Mapping[str, float]
    ) -> None:
        self.rules = tuple(rules)
        self.caps = dict(caps)
        self._languages, self._scores = tuple(languages), scores
        self._by_symbol = {rule.symbol: rule for rule in self.rules}
        self._finders = finders([rule for rule in self.rules if not isinstance(rule.matcher, Meta)], languages)
        self._metas = _in_order(self.rules)

    def judge(self, case: Case) -> Judgement:
        """Hold all rules against a message."""
        listed = self._listed(case)
        found = {hit.symbol: hit.detail for hit in listed}
        for finder in self._finders:
            found.update(finder.find(case))
        for symbol, meta in self._metas:
            _judge_meta(symbol, meta, found)
        return self._judgement([*self._hits(found), *listed])

    def timed(self, case: Case, clock: Callable[[], float]) -> tuple[Judgement, Mapping[str, float]]:
        """Return the judgement, and the seconds that each rule takes by itself; ``clock`` gives seconds.

        A rule is run twice and the second time counts: in the first RE2 learns what it will know by the next message.
        Together rules take less than the sum, since they share their pass over a text.
        """
        judgement = self.judge(case)
        found = {hit.symbol: hit.detail for hit in self._listed(case)}
        seconds: dict[str, float] = {}
        for rule in self.rules:
            for finder in finders([rule], self._languages):
                found.update(finder.find(case))
                start = clock()
                finder.find(case)
                seconds[rule.symbol] = clock() - start
        for symbol, meta in self._metas:
            start = clock()
            _judge_meta(symbol, meta, found)
            seconds[symbol] = clock() - start
        return judgement, seconds

    def _listed(self, case: Case) -> list[Hit]:
        """Return what lists said, each symbol once, with the points that the settings give it."""
        hits = {hit.symbol: hit for hit in reversed(case.listed) if self._scores.get(hit.symbol) != 0}
        return [hit._replace(score=self._scores.get(hit.symbol, hit.score)) for hit in hits.values()]

    def _hits(self, found: Mapping[str, str]) -> Iterator[Hit]:
        for symbol, detail in found.items():
            rule = self._by_symbol.get(symbol)
            if rule is not None and rule.score:
                yield Hit(symbol, rule.score, rule.en, rule.it, detail, rule.group)

    def _judgement(self, hits: Iterable[Hit]) -> Judgement:
        ranked = tuple(sorted(hits, key=lambda hit: (-hit.score, hit.symbol)))
        given: dict[str, float] = defaultdict(float)
        for hit in ranked:
            if hit.score > 0 and hit.group in self.caps:
                given[hit.group] += hit.score
        over = ((group, round(points - self.caps[group], 2)) for group, points in given.items())
        capped = tuple((group, cut) for group, cut in over if cut > 0)
        score = sum(hit.score for hit in ranked) - sum(cut for _, cut in capped)
        return Judgement(round(score, 2) + 0.0, ranked, capped)  # + 0.0: never -0.0


def _judge_meta(symbol: str, meta: Meta, found: dict[str, str]) -> None:
    """Add the symbol to ``found`` if its rule fits: the detail is what those found that made it so."""
    some = [one for one in meta.any if one in found]
    if (
        all(one in found for one in meta.all)
        and not any(one in found for one in meta.none)
        and (not meta.any or len(some) >= meta.at_least)
    ):
        details = dict.fromkeys(found[one] for one in (*meta.all, *some))
        found[symbol] = ", ".join(filter(None, details))[:MAX_DETAIL]


def _in_order(rules: Iterable[Rule]) -> list[tuple[str, Meta]]:
    """Return the meta rules, those first that others look at."""
    metas = {rule.symbol: rule.matcher for rule in rules if isinstance(rule.matcher, Meta)}
    order = TopologicalSorter({symbol: meta.uses() for symbol, meta in metas.items()}).static_order()
    return [(symbol, metas[symbol]) for symbol in order if symbol in metas]


# --- putting files together ---


def load(
    sources: Sequence[tuple[str, str]],
    settings: ScoreSettings,
    facts: Collection[str] | None = None,
    lists: Collection[str] | None = None,
) -> tuple[Ruleset, list[RuleProblem]]:
    """Return the rules of several files, (name, text) in their order, and all that is wrong with them.

    ``facts`` are those that there are, ``lists`` the symbols of lists; None takes any.
    """
    texts = [read_text(file, text, facts) for file, text in sources]
    book = _Book(texts, lists)
    book.check(settings.scores)
    rules = (_scored(rule, settings.scores) for rule in book.rules.values())
    in_force = [rule for rule in rules if rule is not None]
    return Ruleset(in_force, book.caps, settings.languages, settings.scores), book.problems


def _scored(rule: Rule, scores: Mapping[str, float]) -> Rule | None:
    """Return a rule with its points in force; None where it is switched off."""
    score = scores.get(rule.symbol)
    if score is None:
        return rule
    en = rule.en or rule.symbol  # one that only served others may say nothing
    return rule._replace(score=score, en=en, it=rule.it or en) if score else None


class _Book:
    """The rules of all files, by symbol: what is wrong between them is told, and taken out."""

    def __init__(self, texts: Sequence[RuleText], lists: Collection[str] | None) -> None:
        self.rules = {rule.symbol: rule for text in texts for rule in text.rules}
        self.caps = {group: cap for text in texts for group, cap in text.caps.items()}
        self.problems = [problem for text in texts for problem in text.problems]
        self._symbols = {symbol for text in texts for symbol in text.symbols} | set(lists or ())
        self._any_list = lists is None

    def check(self, scores: Iterable[str]) -> None:
        """Take out rules that can't stand together, and note why."""
        for symbol, rule in list(self.rules.items())[MAX_RULES:]:
            self._leave_out(rule, symbol, f"at most {MAX_RULES} rules in all files")
        for rule in list(self.rules.values()):
            self._check_group(rule)
            if isinstance(rule.matcher, Meta):
                self._check_symbols(rule, rule.matcher)
        self._check_sizes()
        while cycle := self._cycle():
            wanted = "rules that do not look at themselves, not even by way of others"
            self._leave_out(self.rules[cycle[0]], " -> ".join(cycle)[:200], wanted)
        for symbol in scores:
            if not self._is_known(symbol):
                self.problems.append(RuleProblem(SCORES, 0, "", symbol, self._wanted(symbol)))

    def _is_known(self, symbol: str) -> bool:
        return symbol in self._symbols or (self._any_list and symbol.startswith(LISTED))

    def _wanted(self, symbol: str) -> str:
        what = "a list (vaglio links lists --all)" if symbol.startswith(LISTED) else "a rule"
        alike = 0.8 if symbol.startswith(LISTED) else 0.6  # those of all lists begin alike
        return f"the symbol of {what}" + meant(near(symbol, self._symbols, alike))

    def _leave_out(self, rule: Rule, found: str, wanted: str) -> None:
        self.problems.append(RuleProblem(rule.file, rule.line, rule.symbol, found, wanted))
        self.rules.pop(rule.symbol, None)

    def _check_group(self, rule: Rule) -> None:
        if rule.group and rule.group not in self.caps:
            wanted = f"[group.{rule.group}] with its cap in this file or another" + meant(near(rule.group, self.caps))
            self._leave_out(rule, f'group = "{rule.group}"', wanted)

    def _check_symbols(self, rule: Rule, meta: Meta) -> None:
        for symbol in meta.uses():
            if not self._is_known(symbol):
                self._leave_out(rule, f'"{symbol}"', self._wanted(symbol))

    def _check_sizes(self) -> None:
        """Bound what all patterns for one kind of text may cost together."""
        sizes: dict[str, int] = defaultdict(int)
        for rule in list(self.rules.values()):
            if isinstance(rule.matcher, Matches):
                field = rule.matcher.field.partition(":")[0]
                sizes[field] += rule.matcher.pattern.size
                if sizes[field] > MAX_TOTAL:
                    wanted = f"fewer or simpler patterns for {field}: all of them together are too large"
                    self._leave_out(rule, rule.matcher.text[:60], wanted)

    def _cycle(self) -> list[str]:
        """Return the symbols of a circle of meta rules, the first one again at its end; empty for none."""
        try:
            _in_order(self.rules.values())
        except CycleError as error:
            return list(error.args[1])
        return []

