"""NAME
    vaglio-chain - several of Vaglio's checks of messages in one milter

SYNOPSIS
    vaglio-chain NAME [--config FILE] [--listen SOCKET]... [--workers N]

DESCRIPTION
    Runs the checks that the section [chain.NAME] lists, in their order, over one reading of the message. They hand
    their results on to each other in memory; together they write one Authentication-Results, take one entry in the
    journal, so that "vaglio why" tells one story of the message, and give one answer: the strongest verdict wins, and
    of equals that of the first check says why. What each check does is the same as in a daemon of its own.

    Two chains ship. "inbound" is for mail from outside (smtpd_milters of the port 25), and has the checks spf,
    dkim_verify, score and tag; "outbound" is for that of your own users (the submission ports, and non_smtpd_milters),
    and has dkim_sign. score and tag stand behind the others, since they look at their results.

    A check that fails costs its own result only, as its own section's on_error says.

CONFIGURATION
    The section [chain.NAME] of /etc/vaglio/vaglio.toml, and those of the checks; "vaglio config defaults" prints all
    settings with their meaning. Postfix is wired by the lines that "vaglio postconf chain.NAME" prints; Sendmail by
    those in examples/sendmail. "vaglio try FILE --chain NAME" plays a message through a chain without a mail server.

OPTIONS
    NAME              the chain
    --config FILE     read this file; else $VAGLIO_CONFIG, else /etc/vaglio/vaglio.toml
    --listen SOCKET   unix:/path, inet:host:port or inet:[::1]:port, in place of chain.NAME.listen; may be repeated
    --workers N       number of worker processes, or "auto"
    --replace         take the place of a daemon that listens on the same UNIX sockets: see vaglio-spf(8), RESTART
    --version         print the version
    --help            print a short help

EXAMPLES
    vaglio-chain inbound

    vaglio-chain inbound --config ./vaglio.toml --listen inet:127.0.0.1:8891

    vaglio-chain outbound --workers auto --replace

SIGNALS
    SIGHUP   read the configuration again; a bad one is reported and the old one stays. A message under way is judged
             by the configuration that it began with.
    SIGTERM  let messages under way come to their end, for 8 seconds at most, and end

EXIT STATUS
    0 after a clean stop, 78 for a bad configuration, 69 for a socket that cannot be opened

FILES
    /etc/vaglio/vaglio.toml
    /run/vaglio/NAME.sock
    /var/lib/vaglio/journal.sqlite

SEE ALSO
    vaglio(1), vaglio-spf(8), vaglio-dkim-verify(8), vaglio-dkim-sign(8), vaglio-score(8), vaglio-tag(8), postconf(5)
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from functools import partial

from vaglio_milters import dkim_sign, dkim_verify, score, spf_verify, tag

from vaglio.config.chain import READY, ChainSettings
from vaglio.config.model import VaglioConfig
from vaglio.daemon.main import run
from vaglio.daemon.service import Daemon, Hosted, Ports, Service, milter

HOSTED: Mapping[str, Callable[[VaglioConfig, Ports], Hosted]] = {
    "spf": spf_verify.hosted, "dkim_verify": dkim_verify.hosted, "dkim_sign": dkim_sign.hosted,
    "score": score.hosted, "tag": tag.hosted,
}  # fmt: skip
"""How each check is put together, by its name in ``chain.NAME.checks``."""


def build(name: str, config: VaglioConfig, ports: Ports) -> Service:
    """Put the milter together for one worker."""
    return milter([HOSTED[check](config, ports) for check in config.chain[name].checks])


def settings(name: str, config: VaglioConfig) -> ChainSettings:
    """Return the section of a chain; raises LookupError, which says what to do, where there is none."""
    if name not in config.chain:
        raise LookupError(f"there is no section [chain.{name}]; there are {', '.join(config.chain)}")
    return config.chain[name]


def daemon(name: str) -> Daemon:
    """Return the daemon of a chain."""
    return Daemon(
        name=f"chain.{name}",
        schema=None,
        manual=__doc__ or "",
        settings=partial(settings, name),
        build=partial(build, name),
        command=f"vaglio-chain {name}",
    )


def main() -> int:
    """Run the daemon."""
    name, *rest = sys.argv[1:] or [""]
    if name in ("--help", "-h", "--version"):  # these need no chain; anything else does
        return run(daemon("NAME"), [name])
    if not name or name.startswith("-"):
        ships = ", ".join(READY)
        sys.stderr.write(f"vaglio-chain: say first which chain: {ships}, or one of your own, as in\n"
                         "  vaglio-chain inbound --config /etc/vaglio/vaglio.toml\n")  # fmt: skip
        return 2
    return run(daemon(name), rest)


if __name__ == "__main__":
    sys.exit(main())
