"""``vaglio postconf``: the lines that wire the daemons of the current configuration into Postfix.

Why they stand in this order: examples/postfix/main.cf.dnsbl, main.cf.milters, and master.cf.ratelimit for the
submission ports.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from vaglio.cli.common import Commands, WrongUsage, command, configuration, print_json, usual_options, warn
from vaglio.cli.ratelimit_usage import asked_at_rcpt
from vaglio.config.chain import ChainSettings, is_for_own_mail
from vaglio.config.load import Loaded
from vaglio.config.model import VaglioConfig
from vaglio.config.types import DaemonSection, MilterSection
from vaglio.daemon.milterfront import LONGEST_JUDGEMENT
from vaglio.facts import pack_address
from vaglio.lists import NetworkSet

DAEMONS = ("dnsbl", "greylist")
"""Those of main.cf, in the order in which Postfix is to ask them."""
SUBMISSION = "ratelimit"
"""The one that is asked about what users send, so its lines stand in master.cf."""
SIGNING = "dkim.sign"
"""The milter that signs, the last of all, so that nobody changes what it has signed."""
LAST = ("tag", SIGNING)
"""Milters of one check that stand behind all others: who changes the subject, behind those that verify signatures."""
MILTERS = ("spf", "dkim.verify", "score", *LAST)
"""Milters of one check; chains are called chain.NAME."""
OUTBOUND = "chain.outbound"
"""The chain for mail of own users; chains that only sign are for that, too."""

_NAMES = ("dnsbl", "greylist", SUBMISSION, *MILTERS)

_LATER = 5
"""Seconds that Postfix waits longer than the daemon takes at most, so that the daemon's own on_error decides."""
_SPOOL = "unix:/var/spool/postfix/"
_ANY_HOST = {"inet:0.0.0.0:": "inet:127.0.0.1:", "inet:[::]:": "inet:[::1]:"}
_OWN = ("permit_mynetworks", "permit_sasl_authenticated")
_SERVICE = "check_policy_service $vaglio_{}"


def add_to(commands: Commands) -> None:
    """Add the subcommand."""
    parser = command(
        commands, "postconf", _postconf, "print the lines for Postfix, by the current configuration",
        "vaglio postconf\nvaglio postconf dnsbl greylist\nvaglio postconf ratelimit\nvaglio postconf dkim.sign\n"
        "vaglio postconf chain.inbound chain.outbound\nvaglio postconf --json",
        "Without the name of a daemon: those that have a section in the configuration, greylist where none has; the\n"
        "lines of the other policy daemons are comments. A check that stands in a chain is the chain's. A parameter\n"
        "that main.cf has already keeps its other entries. Those of ratelimit are for master.cf, and so is the last\n"
        "one of dkim.sign and chain.outbound, which are for mail of your own users. Then: postfix reload",
    )  # fmt: skip
    parser.add_argument("daemons", nargs="*", metavar="DAEMON", help=f"{', '.join(_NAMES)} or chain.NAME")
    usual_options(parser)


def endpoint(listen: str) -> str:
    """Return the address at which Postfix finds a socket that we listen on.

    A path in Postfix's queue directory is written relative to it: so it holds for a chrooted smtpd, too.
    """
    for wildcard, near in _ANY_HOST.items():
        listen = listen.replace(wildcard, near)
    return f"unix:{listen.removeprefix(_SPOOL)}" if listen.startswith(_SPOOL) else listen


def parameters(config: VaglioConfig, daemons: Sequence[str]) -> dict[str, str | list[str]]:
    """Return the parameters by name: text, or a list of restrictions (postconf(5), SMTPD_POLICY_README)."""
    services = [_SERVICE.format(name) for name in daemons]
    found: dict[str, str | list[str]] = {f"vaglio_{name}": _service(_section(config, name)) for name in daemons}
    found["smtpd_recipient_restrictions"] = [*_OWN, "reject_unauth_destination", "reject_unlisted_recipient", *services]
    if "greylist" in daemons and config.greylist.null_sender == "data":
        found["smtpd_data_restrictions"] = [*_OWN, "reject_unauth_pipelining", _SERVICE.format("greylist")]
    return found


_PORTS = {
    "submission": "-o syslog_name=postfix/submission\n-o smtpd_tls_security_level=encrypt",
    "submissions": "-o syslog_name=postfix/submissions\n-o smtpd_tls_wrappermode=yes",
}
"""The submission ports, 587 and 465 (RFC 6409, RFC 8314), and what only one of them has."""
_STAGES = {"data": "smtpd_data_restrictions", "end-of-message": "smtpd_end_of_data_restrictions"}


def submission(config: VaglioConfig) -> dict[str, str]:
    """Return the restrictions of the submission ports by name; who may send, smtpd_relay_restrictions says."""
    settings = config.ratelimit
    service = f"check_policy_service {_service(settings, 'DEFER')}"
    found = {"smtpd_recipient_restrictions": "", "smtpd_data_restrictions": ""}
    if settings.stage == "rcpt" or asked_at_rcpt(settings):
        found["smtpd_recipient_restrictions"] = service
    if settings.stage != "rcpt":
        found[_STAGES[settings.stage]] = service
    return found


def _of_services(config: VaglioConfig, limits: bool, inside: Sequence[str]) -> dict[str, str]:
    """Return the parameters that the submission ports get; ``inside`` are the milters for mail of own users."""
    milters = {"smtpd_milters": _list(inside)} if inside else {}
    return {**(submission(config) if limits else {}), **milters}


def _master_lines(config: VaglioConfig, inside: Sequence[str]) -> Iterator[str]:
    """Yield the lines of master.cf; a value with blanks stands in braces (postconf(5) of Postfix 3.0 and later)."""
    yield "# Lines for master.cf. A service that is already there keeps its other options: add those with the braces."
    for port, options in _PORTS.items():
        yield f"\n{port} inet n       -       y       -       -       smtpd"
        yield from (f"  {option}" for option in options.splitlines())
        yield "  -o smtpd_sasl_auth_enable=yes"
        yield "  -o smtpd_relay_restrictions=permit_sasl_authenticated,reject"
        for name, value in _of_services(config, True, inside).items():
            yield _option(name, value)


def _option(name: str, value: str) -> str:
    return f"  -o {{ {name} = {value} }}" if " " in value else f"  -o {name}={value}"


def _section(config: VaglioConfig, name: str) -> DaemonSection:
    return dict(config.daemons())[name]


def _service(settings: DaemonSection, defer: str = "DEFER_IF_PERMIT") -> str:
    default = "DUNNO" if settings.on_error == "pass" else defer
    wait = f"timeout={settings.deadline + _LATER}s, try_limit=2, retry_delay=1s"
    return f"{{ {endpoint(settings.listen[0])}, {wait}, default_action={default} }}"


# --- milters ---


def milter_parameters(config: VaglioConfig, milters: Sequence[str]) -> dict[str, str]:
    """Return the parameters of main.cf by name. Mail that comes by no network goes to the milters for own users,
    without one to those of the others that look at such mail. To the rest it would only be a round for nothing, and
    what a content filter hands back by the sendmail command would lose the results that they wrote before it.
    """
    found = {_variable(name): _filter(config, name) for name in milters}
    outside, inside = _sides(config, milters)
    if outside:
        found["smtpd_milters"] = _list(outside)
    if local := inside or [name for name in outside if _looks_at_own_mail(config, name)]:
        found["non_smtpd_milters"] = _list(local)
    return {**found, "milter_protocol": "6"}


def _looks_at_own_mail(config: VaglioConfig, name: str) -> bool:
    """Say whether a check of a milter does something about mail that this machine itself hands in."""
    localhost = pack_address("127.0.0.1")  # as which Postfix names the sendmail command
    scored = config.score.own_mail == "score" and localhost not in NetworkSet(config.score.trusted_networks)
    looks = {SIGNING: True, "spf": bool(config.spf.own_addresses), "score": scored}
    return any(looks.get(check, False) for check in _checks(config, name))


def _sides(config: VaglioConfig, milters: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the milters for port 25, and those for mail of own users."""
    inside = [name for name in milters if _is_inside(config, name)]
    return [name for name in milters if name not in inside], inside


def _is_inside(config: VaglioConfig, name: str) -> bool:
    section = _milter_section(config, name)
    if isinstance(section, ChainSettings):
        return is_for_own_mail(name.removeprefix("chain."), section)
    return name == SIGNING


def _list(milters: Sequence[str]) -> str:
    return ", ".join(f"${_variable(name)}" for name in milters)


def _variable(name: str) -> str:
    return f"vaglio_{re.sub('[.-]', '_', name.removeprefix('chain.'))}"


def _milter_section(config: VaglioConfig, name: str) -> MilterSection:
    section = _section(config, name)
    assert isinstance(section, MilterSection)
    return section


def _checks(config: VaglioConfig, name: str) -> list[str]:
    """Return the checks of a milter by the names of their sections."""
    section = _milter_section(config, name)
    return [check.replace("_", ".") for check in section.checks] if isinstance(section, ChainSettings) else [name]


def _filter(config: VaglioConfig, name: str) -> str:
    section = _milter_section(config, name)
    checks = [_milter_section(config, check) for check in _checks(config, name)]
    # What becomes of mail without the milter is for its checks to say: one that signs can't be done without.
    default = "accept" if all(one.on_error == "pass" for one in (section, *checks)) else "tempfail"
    longest = round(min(LONGEST_JUDGEMENT, sum(min(one.deadline, section.deadline) for one in checks)))
    # A worker may have others to judge first.
    waits = f"connect_timeout=10s, command_timeout=30s, content_timeout={longest + 35}s"
    return f"{{ {endpoint(section.listen[0])}, {waits}, default_action={default} }}"


def _milter_lines(config: VaglioConfig, milters: Sequence[str]) -> Iterator[str]:
    yield "# Milters: lines for main.cf. A list that is already there keeps its other entries."
    if any(_milter_section(config, name).listen[0].startswith("unix:") for name in milters):
        yield "# postfix must be let into the sockets: the shipped socket units do so; without them, set socket_group."
    found = milter_parameters(config, milters)
    if "non_smtpd_milters" not in found:
        yield "# No non_smtpd_milters: nothing here looks at what this machine itself sends by the sendmail command."
    yield from (f"{name} = {value}" for name, value in found.items())
    if inside := _sides(config, milters)[1]:
        yield "# What users hand in is outbound, too. In master.cf, below submission and submissions:"
        yield f"#{_option('smtpd_milters', _list(inside))}"


def _hosted_by(config: VaglioConfig, chains: Sequence[str]) -> dict[str, str]:
    """Return for each milter of one check the first of these chains that does its work, for the same mail."""
    return {
        check: name for name in reversed(chains) for check in _checks(config, name)
        if not _is_inside(config, name) or _is_inside(config, check)
    }  # fmt: skip


# --- which ---


def _chosen(loaded: Loaded, named: Sequence[str]) -> list[str]:
    """Return the daemons to be wired, in their order; raises WrongUsage."""
    config = loaded.config
    chains = [f"chain.{name}" for name in config.chain]
    known = (*DAEMONS, SUBMISSION, *(name for name in MILTERS if name not in LAST), *chains, *LAST)
    commands = {name.replace(".", "-"): name for name in MILTERS}
    wanted = {commands.get(name, name) for name in (name.removeprefix("vaglio-") for name in named)}
    if unknown := sorted(wanted.difference(known)):
        raise WrongUsage(f"found {unknown[0]!r}, wanted one of {', '.join(known)}")
    if not named:
        written = [name for name in known if any(f"{key}.".startswith(f"{name}.") for key in loaded.origins)]
        hosted = _hosted_by(config, [name for name in written if name in chains])
        wanted = {name for name in written if name not in hosted} or {"greylist"}
    hosted = _hosted_by(config, [name for name in chains if name in wanted])
    if twice := next((name for name in MILTERS if name in wanted and name in hosted), ""):
        raise WrongUsage(f"{hosted[twice]} has the check {twice} in it: name one of the two, or mail is judged twice")
    return [name for name in known if name in wanted]


def _out_of_reach(config: VaglioConfig, chosen: Sequence[str]) -> Iterator[str]:
    for name in chosen:
        listen = _section(config, name).listen[0]
        if endpoint(listen).startswith("unix:/"):
            file = listen.rpartition("/")[2]
            yield (f"{listen} is out of reach for a chrooted smtpd (Debian's default, see master.cf): let "
                   f'{name}.listen be ["unix:/var/spool/postfix/vaglio/{file}"], as the shipped socket units have it, '
                   "or on inet:127.0.0.1")  # fmt: skip


def _undone(config: VaglioConfig, milters: Sequence[str]) -> Iterator[str]:
    """Yield the milters that would take the results of the one before them for forgeries."""
    for side in _sides(config, milters):
        for place, name in enumerate(side):
            writer = next((one for one in side[:place] if _writes_results(config, one)), "")
            if writer and _milter_section(config, name).remove_forged:
                yield (f"{name} stands behind {writer} and takes what that has written for a forgery: set "
                       f"{name}.remove_forged = false, or wire one of the two")  # fmt: skip


def _writes_results(config: VaglioConfig, name: str) -> bool:
    """Say whether a milter writes Authentication-Results."""
    if name == "spf" and config.spf.header == "received-spf":
        return False
    return not {"spf", "dkim.verify"}.isdisjoint(_checks(config, name))


def _unheard(config: VaglioConfig, milters: Sequence[str]) -> Iterator[str]:
    """Yield who marks spam, and does not believe the headers in which the one before it says that it is."""
    asks = any(one and one.check == "score" for rule in config.tag.rule for one in rule.sources())
    for side in _sides(config, milters) if asks and not config.tag.trust_spam_headers else ():
        for place, name in enumerate(side):
            scorer = next((one for one in side[:place] if "score" in _checks(config, one)), "")
            if scorer and "tag" in _checks(config, name) and "score" not in _checks(config, name):
                yield (f"{name} stands behind {scorer} and does not believe the X-Spam headers that it writes, so no "
                       "spam is marked: set tag.trust_spam_headers = true")  # fmt: skip


def _done_twice(config: VaglioConfig, milters: Sequence[str]) -> Iterator[str]:
    """Yield the checks that two milters have which are asked about the same mail."""
    for side in _sides(config, milters):
        seen: dict[str, str] = {}
        for name in side:
            for check in _checks(config, name):
                first = seen.setdefault(check, name)
                if first != name:
                    yield f"{first} and {name} both have the check {check}, for the same mail: wire one of the two"


def _postconf(args: argparse.Namespace) -> int:
    loaded = configuration(args)
    config = loaded.config
    chosen = _chosen(loaded, args.daemons)
    daemons = [name for name in DAEMONS if name in chosen]
    milters = [name for name in chosen if name not in (*DAEMONS, SUBMISSION)]
    doubts = [*_out_of_reach(config, chosen), *_undone(config, milters), *_unheard(config, milters),
              *_done_twice(config, milters)]  # fmt: skip
    if args.json or not _are_looked_at():  # who looks at the lines sees the comments
        for doubt in doubts:
            warn(doubt)
    if args.json:
        print_json(_document(config, daemons, SUBMISSION in chosen, milters))
        return 0
    parts = [[f"# Warning: {doubt}" for doubt in doubts]] if doubts else []
    if daemons:
        off = [] if args.daemons else [name for name in DAEMONS if name not in daemons]
        shown = parameters(config, [name for name in DAEMONS if name in daemons or name in off])
        parts.append([*_comments(daemons, off), *_lines(shown, off)])
    if milters:
        parts.append([*_milter_lines(config, milters)])
    if SUBMISSION in chosen:
        parts.append([*_master_lines(config, _sides(config, milters)[1])])
    if not (milters or args.daemons):
        named = " ".join(("chain.inbound", OUTBOUND))
        parts.append([f"# Milters have no section in the configuration. Their lines: vaglio postconf {named}"])
    print("\n\n".join("\n".join(part) for part in parts))
    return 0


def _are_looked_at() -> bool:
    """Say whether lines go to a terminal, or where warnings go anyhow: both through ssh, or into one file."""
    try:
        return sys.stdout.isatty() or os.path.sameopenfile(sys.stdout.fileno(), sys.stderr.fileno())
    except OSError:  # not a file of the system's
        return False


def _document(config: VaglioConfig, daemons: Sequence[str], limits: bool, milters: Sequence[str]) -> dict[str, Any]:
    """Return the parameters of main.cf by name, and those of services in master.cf under the services' names."""
    found: dict[str, Any] = dict(parameters(config, daemons)) if daemons else {}
    if milters:
        found |= milter_parameters(config, milters)
    if services := _of_services(config, limits, _sides(config, milters)[1]):
        found |= dict.fromkeys(_PORTS, services)
    return found


def _comments(daemons: Sequence[str], off: Sequence[str]) -> Iterator[str]:
    yield "# Lines for main.cf. A parameter that is already there keeps its entries: add those with $vaglio to it."
    if "dnsbl" in daemons:
        yield "# Blocklists stand behind reject_unauth_destination, in the place of reject_rbl_client and its like."
    if "greylist" in daemons:
        yield "# Greylisting stands last, behind reject_unauth_destination and all that refuses for good."
    for name in off:
        yield f"# vaglio-{name} is not wired, its lines are comments: write [{name}] into Vaglio's configuration."


def _lines(found: dict[str, str | list[str]], off: Sequence[str]) -> Iterator[str]:
    """Yield the lines of main.cf; those of daemons that are off as comments, which may stand between entries too."""
    for name, value in found.items():
        if name == "smtpd_data_restrictions":
            yield '# greylist.null_sender = "data": bounces are asked here'
        if isinstance(value, str):
            yield f"{'# ' if name.removeprefix('vaglio_') in off else ''}{name} = {value}"
        else:
            yield f"{name} ="
            idle = [_SERVICE.format(other) for other in off]
            yield from (f"{'#' if entry in idle else ' '}   {entry}" for entry in value)
