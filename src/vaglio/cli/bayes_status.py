"""``vaglio bayes status``: how much was learned, and whether that is enough."""

from __future__ import annotations

import argparse

from vaglio.checks.score.settings import BayesSettings
from vaglio.checks.score.tokens import VERSION
from vaglio.cli.bayes_store import place, to_look, waiting_for
from vaglio.cli.common import Commands, command, configuration, day_of, looking_options, print_json
from vaglio.ports import Learned
from vaglio.store.files import beside
from vaglio.store.tokens import Summary


def add_to(commands: Commands) -> None:
    """Add the subcommand."""
    parser = command(
        commands, "status", _status, "say how much was learned, and whether Bayes has a say yet",
        "vaglio bayes status\nvaglio bayes status --json",
    )  # fmt: skip
    looking_options(parser)


def _status(args: argparse.Namespace) -> int:
    loaded = configuration(args)
    settings, path = loaded.config.score.bayes, place(loaded)
    with to_look(loaded) as store:
        found = store.summary()
        size = sum(one.stat().st_size for one in (path, beside(path, "-wal")) if one.exists())
    earlier = sum(number for version, number in found.versions.items() if version != VERSION)
    if args.json:
        print_json({
            "file": str(path), "size": size, "enabled": settings.enabled,
            "ready": settings.enabled and not waiting_for(found.learned, settings),
            "min_learned": settings.min_learned, **found.learned._asdict(), "words": found.words,
            "max_tokens": settings.max_tokens, "remembered": sum(found.versions.values()),
            "of_earlier_versions": earlier, "first": found.first * 86400, "last": found.last * 86400,
        })  # fmt: skip
        return 0
    print(f"learned: {found.learned.spam} messages of spam, {found.learned.ham} of wanted mail")
    print(_say(found.learned, settings))
    _tell(found, earlier)
    print(f"words: {found.words}, at most {settings.max_tokens} (score.bayes.max_tokens)")
    print(f"file: {path}, {size / 1e6:.1f} MB")
    return 0


def _say(learned: Learned, settings: BayesSettings) -> str:
    if not settings.enabled:
        return "Bayes has no say: score.bayes.enabled is false"
    return waiting_for(learned, settings) or "Bayes has a say"


def _tell(found: Summary, earlier: int) -> None:
    if found.versions:
        print(f"remembered: {sum(found.versions.values())} messages, learned from {day_of(found.first * 86400)} to "
              f"{day_of(found.last * 86400)}, which can be learned as the other kind")  # fmt: skip
    if earlier:
        print(f"{earlier} of these an earlier version learned, by other words, which count less and less; anew: "
              "vaglio bayes reset")  # fmt: skip
