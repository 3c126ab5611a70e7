"""``vaglio``, the admin's command: what was decided and why, what is remembered, what is configured.

Exit status: 0 when there is a result, 1 when what was asked for is not there or can't be done, 2 for wrong usage,
78 for a bad configuration.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from vaglio import __version__
from vaglio.cli.common import CliError, clean, helpless, warn
from vaglio.config.load import ConfigError

COMMANDS = {
    "why": "decisions", "journal": "decisions", "try": "trial", "greylist": "greylist", "dnsbl": "dnsbl",
    "ratelimit": "ratelimit", "spf": "spf", "dkim": "dkim", "score": "score", "links": "links", "learn": "learn",
    "bayes": "bayes", "dns": "dns", "config": "config", "postconf": "postconf",
}  # fmt: skip
"""The module of each command. Only that of the one that is asked for is loaded: all of them take half a second."""

_INTERRUPTED = 130  # as a shell has it: 128 + SIGINT

_EXAMPLES = """\
examples:
  vaglio why G7K2-9QFD                      why was this mail deferred?
  vaglio journal --since 1h --verdict defer
  vaglio greylist check --client 'mail.tizio.it[192.0.2.7]' --from tizio@tizio.it --to caio@caio.it
  vaglio greylist allow example.com         let a sender in without waiting
  vaglio dnsbl check 198.51.100.7           what do the blocklists say of it?
  vaglio dnsbl status                       are the lists themselves in order?
  vaglio links check tizio.example          what do the lists say of a domain that links lead to?
  vaglio ratelimit quota tizio@tizio.it     how much may this user still send?
  vaglio ratelimit top                      who uses most of its limits?
  vaglio spf check --ip 192.0.2.7 --from tizio@tizio.it   may this client send for them?
  vaglio spf report                         which results came, and what came of them?
  vaglio dkim verify message.eml            are its signatures good, and if not, why?
  vaglio dkim new tizio.it                  make keys, and the records for the DNS
  vaglio dkim check                         does every name server tell the keys that sign?
  vaglio score message.eml                  what does it score as spam, and why?
  vaglio learn spam /home/caio/Maildir/.Junk   teach Bayes what is spam
  vaglio bayes status                       how much has it learned?
  vaglio dns check                          is the resolver fit for a mail server?
  vaglio config check
  vaglio postconf                           the lines for Postfix

"vaglio COMMAND --help" explains each with examples of its own.
"""


def parser(asked: str = "") -> argparse.ArgumentParser:
    """Return the parser of the whole command line; if there is a command ``asked``, of that one only."""
    whole = argparse.ArgumentParser(
        prog="vaglio",
        description="Ask the Vaglio daemons of this host what they decided, and why.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    whole.add_argument("--version", action="version", version=f"vaglio {__version__}")
    whole.set_defaults(run=lambda _: helpless(whole))
    commands = whole.add_subparsers(title="commands", metavar="COMMAND")
    modules = [COMMANDS[asked]] if asked in COMMANDS else dict.fromkeys(COMMANDS.values())
    for module in modules:
        import_module(f"vaglio.cli.{module}").add_to(commands)
    return whole


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return the exit status."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without UTF-8 shows "?", and all the rest
    words = sys.argv[1:] if argv is None else argv
    args = parser(words[0] if words else "").parse_args(words)
    try:
        status: int = args.run(args)
        sys.stdout.flush()
    except ConfigError as error:
        print("\n".join(map(clean, error.problems)), file=sys.stderr)
        if hasattr(args, "state"):
            warn("this command runs without the configuration too: say where to look, as in --state /var/lib/vaglio")
        return os.EX_CONFIG
    except CliError as error:
        print(f"vaglio: {clean(error)}", file=sys.stderr)
        return error.status
    except BrokenPipeError:  # "vaglio journal | head": the reader has what it wanted
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return _INTERRUPTED
    return status


if __name__ == "__main__":
    sys.exit(main())
