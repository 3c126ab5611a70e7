"""The world of the story: a name server, the mail hosts of tizio.it and caio.it, Vaglio beside caio's.

tizio's Postfix retries by itself, but in seconds where the real one takes minutes. caio's asks Vaglio about every
recipient, blocklists first if there are any, and about the message itself if there is the inbound chain; it goes on
without an answer where there is none. It delivers by itself, or by a Dovecot that files spam. tizio's has users who
submit mail if it has rate limits: a Vaglio of its own then counts what they send, and signs it if there is the outbound
chain, by keys that the DNS knows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from types import TracebackType

from lab import dovecot, milters, submission
from lab.dns import NameServer, Zones
from lab.postfix import MailHost, Postfix
from lab.smtp import Client
from lab.space import HOME, Space
from lab.vaglio import CONFIG, Daemon, configure, do
from lab.waiting import LabError
from vaglio.checks.dnsbl.catalogue import shipped
from vaglio.checks.score.linkcatalogue import shipped as shipped_links

GREYLIST_PORT = 10023
DNSBL_PORT = 10024
RATELIMIT_PORT = 10026
SUBMISSION = 587


def recipient_restrictions(*ports: int) -> str:
    """Return the restrictions of a Postfix that asks the policy services on these ports, in this order."""
    services = [
        f"check_policy_service {{ inet:127.0.0.1:{port}, timeout=10s, try_limit=2, retry_delay=1s,"
        " default_action=DUNNO }"
        for port in ports
    ]
    return ", ".join(["reject_unauth_destination", *services])


PRIVATE_LIST = f"{HOME}/vaglio/blocked"
"""The file of caio's own list."""

LISTS = f"""
[[dnsbl.lists]]
name = "caios-own"
file = "{PRIVATE_LIST}"
weight = 5
url = "https://mail.caio.it/blocked"

[[dnsbl.lists]]
name = "lab-blocklist"
zone = "bl.lab.test"
weight = 5
url = "https://bl.lab.test/{{ip}}"

[[dnsbl.lists]]
name = "lab-other"
zone = "other.lab.test"
weight = 5
"""
"""Caio's blocklists: his own, and those of zones/lists.lab.test.zone."""

TIZIO = MailHost("mail.tizio.it", "192.0.2.25", "tizio.it", {
    "queue_run_delay": "2s",
    "minimal_backoff_time": "8s",
    "maximal_backoff_time": "8s",
})  # fmt: skip

WITH_USERS = replace(TIZIO, submission=submission.services(signing=True), settings={
    **TIZIO.settings, "minimal_backoff_time": "5s", "maximal_backoff_time": "5s", **milters.of_chain("outbound"),
})  # fmt: skip
"""The same with users of its own, who submit mail that is counted and signed; those who watch wait less, too."""

CAIO = MailHost("mail.caio.it", "203.0.113.25", "caio.it", {
    "smtpd_recipient_restrictions": recipient_restrictions(GREYLIST_PORT),
})  # fmt: skip


def vaglio_toml(greylist: Mapping[str, str], state: str = f"{HOME}/vaglio") -> str:
    """Return caio's configuration file; ``greylist`` are the lines of that section, values as TOML writes them."""
    lines = "".join(f"{key} = {value}\n" for key, value in greylist.items())
    return (
        '[identity]\nauthserv_id = "mail.caio.it"\nhostname = "mail.caio.it"\n\n'
        f'[state]\nurl = "sqlite://{state}"\n\n'
        f'[greylist]\nlisten = ["inet:127.0.0.1:{GREYLIST_PORT}"]\n{lines}'
    )


def dnsbl_toml(settings: Mapping[str, str], lists: str = LISTS) -> str:
    """Return the tables that vaglio-dnsbl needs: the lines of its section, and lists in place of the shipped ones."""
    lines = "".join(f"{key} = {value}\n" for key, value in settings.items())
    return f"\n[dnsbl]\nwithout = {json.dumps([*shipped()])}\n{lines}{lists}"


TIZIOS_STATE = f"{HOME}/vaglio-tizio"
TIZIOS_CONFIG = f"{TIZIOS_STATE}/vaglio.toml"
"""The configuration file of tizio's Vaglio."""


def _chain(name: str, host: MailHost) -> str:
    return f'\n[chain.{name}]\nlisten = ["unix:{milters.folder(host)}/{name}.sock"]\nsocket_group = "postfix"\n'


LINKS = f"""
[score.links]
without = {json.dumps([*shipped_links()])}

[[score.links.lists]]
name = "lab-links"
zone = "uri.lab.test"
weight = 2.5
reasons = {{ "127.0.0.4" = "a phishing site" }}
"""
"""Caio's list of links' domains, of zones/lists.lab.test.zone."""

INBOUND = _chain("inbound", CAIO) + LINKS
"""The tables that caio's inbound chain needs."""

OUTBOUND = _chain("outbound", TIZIO) + f'\n[dkim.sign]\nkey_dir = "{TIZIOS_STATE}/dkim"\n'
"""The tables that tizio's outbound chain needs."""


def ratelimit_toml(section: str) -> str:
    """Return tizio's configuration file; ``section`` is what follows ``[ratelimit]`` in TOML."""
    return (
        '[identity]\nhostname = "mail.tizio.it"\n\n'
        f'[state]\nurl = "sqlite://{TIZIOS_STATE}"\n\n'
        f'[ratelimit]\nlisten = ["inet:127.0.0.1:{RATELIMIT_PORT}"]\n{section}'
    )


class World:
    """All of it, running; a context manager. ``daemons`` are those whose decisions the story tells, in the order in
    which Postfix asks them.

    ``greylist`` are settings of Vaglio's as TOML writes them, ``caio`` settings of main.cf. ``dnsbl`` is what
    ``dnsbl_toml`` returns; without it there is no vaglio-dnsbl. ``inbound`` is INBOUND; without it there is no such
    chain. ``tizio`` is his host, ``ratelimit`` what ``ratelimit_toml`` returns, without which there is no
    vaglio-ratelimit, and ``outbound`` is OUTBOUND, which takes ``ratelimit``, too. ``folders`` has a Dovecot deliver at
    caio's, which files spam into Junk. Raises LabError, and Unavailable where the machine can't have it.
    """

    def __init__(
        self, greylist: Mapping[str, str], caio: Mapping[str, str] | None = None, dnsbl: str = "",
        ratelimit: str = "", tizio: MailHost = TIZIO, inbound: str = "", outbound: str = "",
        folders: bool = False,
    ) -> None:  # fmt: skip
        with ExitStack() as stack:
            self.space = stack.enter_context(Space())
            self.dns = NameServer(self.space, Zones.read())
            stack.callback(self.dns.close)
            configure(self.space, vaglio_toml(greylist) + dnsbl + inbound)
            self.greylist = Daemon(self.space, "vaglio-greylist", GREYLIST_PORT)
            self.daemons, settings = [self.greylist], {**CAIO.settings, **(caio or {})}
            if dnsbl:
                self.space.path(PRIVATE_LIST).write_text("198.51.100.78 sells addresses, and does not stop\n")
                self.dnsbl = Daemon(self.space, "vaglio-dnsbl", DNSBL_PORT)
                self.daemons.insert(0, self.dnsbl)
                settings["smtpd_recipient_restrictions"] = recipient_restrictions(DNSBL_PORT, GREYLIST_PORT)
            if inbound:
                self.daemons.append(self._chain("inbound", CAIO))
                settings |= milters.of_chain("inbound")
            if ratelimit:
                configure(self.space, ratelimit + outbound, TIZIOS_CONFIG)
                self.ratelimit = Daemon(self.space, "vaglio-ratelimit", RATELIMIT_PORT, TIZIOS_CONFIG)
            if outbound:
                self._make_keys()
                self.daemons.insert(0, self._chain("outbound", TIZIO, TIZIOS_CONFIG))
            if folders:
                self.dovecot = dovecot.Dovecot(self.space, CAIO)
                settings |= dovecot.transport(CAIO)
            self.tizio = Postfix(self.space, tizio)
            self.caio = Postfix(self.space, replace(CAIO, settings=settings))
            self._stack = stack.pop_all()

    def _chain(self, name: str, host: MailHost, config: str = CONFIG) -> Daemon:
        milters.make_folder(self.space, host)
        return Daemon(self.space, f"vaglio-chain {name}", f"{milters.folder(host)}/{name}.sock", config)

    def _make_keys(self) -> None:
        """Do what tizio's admin does: make keys, publish their records, let them sign."""
        file = f"{TIZIOS_STATE}/tizio.it.dkim"
        do(self.space, "dkim", "new", TIZIO.domain, "--zone-file", file, config=TIZIOS_CONFIG)
        self.records = self.space.path(file).read_text()
        self.dns.zones.add(self.records)
        self.rotated = do(self.space, "dkim", "rotate", TIZIO.domain, config=TIZIOS_CONFIG)

    def connect(self, address: str) -> Client:
        """Connect to caio's Postfix from an address of the lab."""
        return Client(self.space, CAIO.address, address)

    def submit(self, address: str, login: str, password: str, port: int = SUBMISSION) -> Client:
        """Connect to tizio's Postfix as one of its users; LabError if it does not let this one in."""
        client = Client(self.space, TIZIO.address, address, port=port, certificate=self.tizio.certificate)
        if (answer := client.log_in(login, password)).code != 235:
            client.command("QUIT")
            raise LabError(f"{login} could not log in: {answer}")
        return client

    def __enter__(self) -> World:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, trace: TracebackType | None) -> None:
        self._stack.close()
