"""``vaglio dnsbl report``: what each list was worth, and which are worth a second thought."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from typing import Any

from vaglio.checks.dnsbl.catalogue import effective
from vaglio.checks.dnsbl.settings import DnsblSettings, ListSettings
from vaglio.checks.dnsbl.sweep import SCHEMA
from vaglio.checks.dnsbl.tally import COUNTS, KEEP_DAYS, Count
from vaglio.cli.common import (
    Commands,
    command,
    configuration,
    counted_until,
    days_option,
    first_day,
    look_at_store,
    looking_options,
    moment,
    paragraph,
    print_json,
    print_table,
    walk,
)
from vaglio.cli.listfamily import state_of
from vaglio.config.load import Loaded
from vaglio.ports import Store

_ENOUGH = 100
"""Requests or hits below which nothing is said about a list."""


def add_to(commands: Commands) -> None:
    """Add the subcommand."""
    parser = command(
        commands, "report", _report, "say what each list was worth: hits, hits alone, agreement, silence",
        "vaglio dnsbl report --days 7\nvaglio dnsbl report --json",
        "First how many requests were refused, and how many would have been in a rehearsal. Then the lists: \"alone\"\n"
        'are hits that no other list of the same mind shared, "agreed" the others; "let in" are hits whose mail was\n'
        f"let in all the same. Days are UTC and kept for {KEEP_DAYS}. The daemons write their counts every few\n"
        'seconds: "as of" says until when all is counted. Of a rehearsal the figures say what would have been.',
    )  # fmt: skip
    days_option(parser, 30)
    looking_options(parser)


def _report(args: argparse.Namespace) -> int:
    loaded = configuration(args)
    settings = loaded.config.dnsbl
    lists = {one.name: one for one in effective(settings)}
    sums = _sums(loaded, first_day(args))
    total = sums.pop("", Count())
    rows = [
        {**_figures(sums.get(name, Count(name=name))), "state": state_of(lists[name]) if name in lists else "gone",
         "remarks": list(remarks(sums.get(name, Count()), lists.get(name), settings))}
        for name in (*lists, *sorted(sums.keys() - lists.keys()))
    ]  # fmt: skip
    document = {"as_of": counted_until(args), "days": args.days, "requests": total.asked,
                "refused": total.refused, "deferred": total.deferred, "would_refuse": total.would_refuse,
                "would_defer": total.would_defer, "rehearsal": settings.mode == "rehearse", "lists": rows}  # fmt: skip
    if args.json:
        print_json(document)
    else:
        _tell(document)
    return 0


def _sums(loaded: Loaded, first: int) -> dict[str, Count]:
    """Return the counts since the day ``first``, by list; those of all requests under "". """
    sums: dict[str, Count] = {}

    async def work(store: Store) -> None:
        async for one in walk(store, COUNTS, first.to_bytes(4, "big")):  # days sort by their key
            sums[one.name] = _sum(sums.get(one.name, Count(name=one.name)), one)

    look_at_store(loaded, SCHEMA, work)
    return sums


def _sum(one: Count, other: Count) -> Count:
    """Add up all but day and name."""
    return Count(one.day, one.name, *map(sum, zip(one[2:], other[2:], strict=True)))


def _figures(sums: Count) -> dict[str, Any]:
    return {"name": sums.name, "asked": sums.asked, "hits": sums.hits, "alone": sums.alone,
            "agreed": sums.hits - sums.alone, "let_in": sums.passed, "silent": sums.silent}  # fmt: skip


def remarks(sums: Count, one: ListSettings | None, settings: DnsblSettings) -> Iterator[str]:
    """Yield in plain words what an admin should think over; ``one`` is None for a list that is not asked any more."""
    if one is None:
        yield "is not asked any more."
        return
    if not sums.asked:
        yield 'was not asked: is it new, or suspended (vaglio dnsbl status)?'
    elif sums.asked >= _ENOUGH:
        yield from _worth(sums)
        if sums.silent * 20 >= sums.asked:
            yield f"did not answer {_part(sums.silent, sums.asked)} of the time: each of them waits for it."
    if one.shadow and sums.hits:
        yield _shadow(sums, one, settings)


def _worth(sums: Count) -> Iterator[str]:
    if not sums.hits:
        yield "never hits: it costs questions and says nothing."
    elif sums.hits * 10 >= sums.asked * 9:
        yield "hits nearly always: does it list everybody, or is it a list of something else?"
    elif not sums.alone and sums.hits >= _ENOUGH // 10:
        yield "adds nothing: whatever it has, others have too."


def _shadow(sums: Count, one: ListSettings, settings: DnsblSettings) -> str:
    weight = max(one.codes.values(), default=one.weight)
    if weight < 0:
        return f"is a shadow: it would have spoken for {sums.hits}."
    if settings.reject and weight >= settings.reject:
        return f"is a shadow: it would have refused {sums.passed} that were let in."
    return f"is a shadow: it would have weighed on {sums.passed} that were let in, too little to refuse by itself."


def _part(count: int, whole: int) -> str:
    return f"{100 * count / whole:.0f} %"


def _refusals(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield what became of the requests. The mode may have changed within the days that are counted."""
    rehearsed = document["would_refuse"] or document["would_defer"]
    if document["refused"] or document["deferred"] or not document["rehearsal"]:
        yield f"refused for good: {document['refused']}, for now: {document['deferred']}"
    if rehearsed or document["rehearsal"]:
        yield (f"in rehearsal, would have been refused for good: {document['would_refuse']}, for now: "
               f"{document['would_defer']}")  # fmt: skip


def _tell(document: Mapping[str, Any]) -> None:
    print(f"The last {document['days']} days, as of {moment(document['as_of'])}: "
          f"{document['requests']} requests were judged by lists")  # fmt: skip
    for line in _refusals(document):
        print(paragraph(line))
    keys = ("name", "state", "asked", "hits", "alone", "agreed", "let_in", "silent")
    rows = [[one[key] for key in keys] for one in document["lists"]]
    print_table(("list", *keys[1:5], "agreed", "let in", "silent"), rows, "no list is on, and none was")
    told = [f"{one['name']} {remark}" for one in document["lists"] for remark in one["remarks"]]
    if told:
        print()
    for line in told:
        print(paragraph(line, ""))
