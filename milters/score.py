"""NAME
    vaglio-score - milter that scores messages for spam, with reasons

SYNOPSIS
    vaglio-score [--config FILE] [--listen SOCKET]... [--workers N]

DESCRIPTION
    Reads each message, its text, links and attachments' names, and adds up points: of rules, each with a sentence that
    says what it found; of Bayes, once enough mail was learned ("vaglio learn"); of lists of domains that links lead to.
    From score.tag on (5) the header says that it is spam (X-Spam-Flag: YES): a Sieve filter files it into Junk,
    vaglio-tag marks its subject. From score.reject on (15) it is refused, while its sender can still be told; from
    score.hold on the mail server keeps it back, if you set that. X-Spam headers that strangers wrote are taken out.

    No message is accepted and then thrown away: who sent it must hear of it, if it was wanted mail after all.

    Mail of users who logged in, and of the machine itself, is not scored. "vaglio why REFERENCE" tells what weighed,
    and "vaglio score FILE" judges a message without a mail server, with what each rule gave and took.

    Any mail server that speaks the milter protocol will do: Postfix 2.6 or later, Sendmail 8.14 or later.

CONFIGURATION
    The section [score] of /etc/vaglio/vaglio.toml; "vaglio config defaults" prints all settings with their meaning.
    Rules of your own go into files that score.rules names. To let SPF and DKIM weigh, run it in a chain behind them
    (vaglio-chain(8)); or as a daemon of its own behind theirs, with score.remove_forged = false, so that it reads what
    they wrote. Postfix is wired by the lines that "vaglio postconf score" prints; Sendmail by those in
    examples/sendmail.

OPTIONS
    --config FILE     read this file; else $VAGLIO_CONFIG, else /etc/vaglio/vaglio.toml
    --listen SOCKET   unix:/path, inet:host:port or inet:[::1]:port, in place of score.listen; may be repeated
    --workers N       number of worker processes, or "auto"
    --replace         take the place of a daemon that listens on the same UNIX sockets: see vaglio-spf(8), RESTART
    --version         print the version
    --help            print a short help

EXAMPLES
    vaglio-score

    vaglio-score --config ./vaglio.toml --listen inet:127.0.0.1:8892

    vaglio-score --workers auto --replace

SIGNALS
    SIGHUP   read the configuration and the rules again; a bad configuration is reported and the old one stays, a bad
             rule is reported and left out. A message under way is judged by the configuration that it began with.
             Rule files are read within seconds without it; one that has become bad keeps its last state.
    SIGTERM  let messages under way come to their end, for 8 seconds at most, and end

EXIT STATUS
    0 after a clean stop, 78 for a bad configuration, 69 for a socket that cannot be opened

FILES
    /etc/vaglio/vaglio.toml
    /run/vaglio/score.sock
    /var/lib/vaglio/journal.sqlite
    /var/lib/vaglio/bayes.sqlite

SEE ALSO
    vaglio(1), vaglio-tag(8), vaglio-spf(8), vaglio-dkim-verify(8), vaglio-chain(8), postconf(5)
"""

from __future__ import annotations

import sys

from vaglio.blocklists.words import teller
from vaglio.checks.score.check import Context, Score
from vaglio.checks.score.learning import Forgetter, Learner
from vaglio.checks.score.links import SCHEMA, Links
from vaglio.checks.score.links import Context as LinksContext
from vaglio.checks.score.opinion import Opinion
from vaglio.checks.score.rulefiles import RuleFiles
from vaglio.checks.score.scorer import Scorer
from vaglio.config.model import VaglioConfig
from vaglio.daemon.main import run
from vaglio.daemon.seldom import seldom
from vaglio.daemon.service import SELDOM, Daemon, Hosted, Ports, Service, all_of, in_rounds, milter
from vaglio.examination import Field, Message
from vaglio.facts import Envelope, Facts, Session, Stage, client_of


def hosted(config: VaglioConfig, ports: Ports, authserv_id: str = "") -> Hosted:
    """Put the check together for one worker; ``authserv_id`` is the name whose results in headers are believed."""
    settings, hostname = config.score, config.identity.hostname
    rules = RuleFiles(settings, ports.warn, ports.tell)
    links = Links(
        settings.links,
        LinksContext(
            ports.clock, ports.shared(SCHEMA), ports.resolver(), teller("score.links", ports.warn, ports.tell)
        ),
    )
    opinion, learner, forgetter = None, None, None
    if settings.bayes.enabled:
        opinion = Opinion(settings.bayes, ports.tokens(), seldom(ports.warn))
        learner = Learner(ports.tokens(), ports.clock) if settings.bayes.autolearn else None
        forgetter = Forgetter(ports.tokens(), settings.bayes, ports.clock)
    scorer = Scorer(settings, lambda: rules.current, ports.clock, hostname, opinion, links, learner)
    context = Context(scorer, ports.references, config.identity.language_for, authserv_id)

    async def forget() -> float:
        return forgetter.step() if forgetter else SELDOM

    async def learn() -> None:
        if learner:
            await learner.write_back()

    def refresh() -> None:
        rules.refresh()

    async def begin() -> None:
        # The first message would wait 0.2 s for what is loaded with it: the Public Suffix List, RE2's states.
        await Scorer(settings, lambda: rules.current, ports.clock, hostname, opinion).score(_SAMPLE)
        await links.begin()

    upkeep, write_back = in_rounds([links.upkeep, forget]), all_of([links.write_back, learn])
    return Hosted(Score(settings, context), settings, {}, refresh, upkeep, write_back, links.gauges, begin)


_SAMPLE = Message(
    Facts(client_of("192.0.2.25"), Envelope("postmaster@example.org", ""), Session(Stage.END_OF_MESSAGE)),
    (),
    [Field(b"From", b" Tizio <postmaster@example.org>"), Field(b"Content-Type", b" text/html")],
    b'<p>Look at <a href="http://www.example.org/">this</a></p>',
)


def build(config: VaglioConfig, ports: Ports) -> Service:
    """Put the milter together for one worker. In a chain, results come in memory, and headers prove nothing."""
    ours = "" if config.score.remove_forged else config.identity.authserv_id
    return milter([hosted(config, ports, ours)])


DAEMON = Daemon(
    name="score",
    schema=None,
    manual=__doc__ or "",
    settings=lambda config: config.score,
    build=build,
)


def main() -> int:
    """Run the daemon."""
    return run(DAEMON)


if __name__ == "__main__":
    sys.exit(main())
