"""What an admin is told of a list that is suspended, or is back: what is wrong with it, and what to do."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from vaglio.blocklists.answers import Trouble
from vaglio.blocklists.health import News

_ADVICE: Mapping[str, tuple[str, str]] = {
    Trouble.REFUSES_US: (
        "it refuses to answer us ({detail})",
        "It does so for questions that come through a public resolver, or for too many of them. Run a resolver of your "
        'own (unbound on this host, and [dns] servers = ["127.0.0.1"]), see "vaglio dns check", or ask the list for '
        "access and give its key.",
    ),
    Trouble.NO_ADDRESS_LIST: (
        "it answers outside 127.0.0.0/8 ({detail}), which no list does",
        "The zone has probably died and belongs to somebody else, or your resolver rewrites answers "
        '("vaglio dns check" tells). If it is the zone, take the list out of the configuration.',
    ),
    Trouble.LISTS_ALL: (
        "it lists what no list may list, its test entry for that ({detail})",
        "A list that dies often lists everybody. Nobody is refused by it now. If that lasts, take it out of the "
        "configuration.",
    ),
    Trouble.LISTS_NOBODY: (
        "it does not list what every list must list, its test entry ({detail})",
        "It has probably ended, or its name is misspelt: compare {section}.lists with the list's own page. A list that "
        "has no test entry takes probe = false.",
    ),
    Trouble.SILENT: (
        "it does not answer ({detail})",
        'Nothing needs to be done if it comes back by itself. If not: "vaglio dns check" tells whether the resolver is '
        "the reason; else the list is out of order.",
    ),
}


def trouble_text(trouble: str, detail: str, section: str) -> tuple[str, str]:
    """Return what is wrong with a list of this section of the configuration, and what the admin can do about it."""
    what, then = _ADVICE.get(trouble, ("it is in trouble ({detail})", ""))
    return what.format(detail=detail or "no detail"), then.format(section=section)


def teller(section: str, warn: Callable[[str], None], tell: Callable[[str], None]) -> Callable[[News], None]:
    """Return what warns of a list that is suspended, and tells of one that is back."""

    def told(news: News) -> None:
        name, trouble = news.status.name, news.status.trouble
        if trouble:
            what, then = trouble_text(trouble, news.status.detail, section)
            warn(f"the list {name} is suspended: {what}. Nobody is refused by it meanwhile. {then}")
        else:
            since = news.before.since or news.status.since
            minutes = max(0, news.status.since - since) // 60
            tell(f"the list {name} is back after {minutes} minute{'' if minutes == 1 else 's'}")

    return told
