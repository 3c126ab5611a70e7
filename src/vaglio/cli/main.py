"""``vaglio``, the admin's command: what was decided and why, what is remembered, what is configured.

Exit status: 0 when there is a result, 1 when there is none or something failed, 2 for wrong usage, 78 for a bad
configuration.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from vaglio import __version__
from vaglio.cli import config, decisions, greylist, postconf
from vaglio.cli.common import CliError
from vaglio.config.load import ConfigError

_EXAMPLES = """\
examples:
  vaglio why G7K2-9QFD                     why was this mail deferred?
  vaglio journal --since 1h --verdict defer
  vaglio greylist check --client 192.0.2.7 --from tizio@tizio.it --to caio@caio.it
  vaglio greylist allow example.com
  vaglio config check
  vaglio postconf                          the lines for Postfix's main.cf
"""


def parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    whole = argparse.ArgumentParser(
        prog="vaglio",
        description="Ask the Vaglio daemons of this host what they decided, and why.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    whole.add_argument("--version", action="version", version=f"vaglio {__version__}")
    commands = whole.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for module in (decisions, greylist, config, postconf):
        module.add_to(commands)
    return whole


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return the exit status."""
    args = parser().parse_args(argv)
    try:
        status: int = args.run(args)
        sys.stdout.flush()
    except ConfigError as error:
        print(error, file=sys.stderr)
        return os.EX_CONFIG
    except CliError as error:
        print(f"vaglio: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # "vaglio journal | head": the reader has what it wanted
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return status


if __name__ == "__main__":
    sys.exit(main())
