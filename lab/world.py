"""The world of the story: a name server, the mail hosts of tizio.it and caio.it, Vaglio beside caio's.

tizio's Postfix retries by itself, but in seconds where the real one takes minutes. caio's asks Vaglio about every
recipient, and goes on without an answer where there is none.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from types import TracebackType

from lab.dns import NameServer, Zones
from lab.postfix import MailHost, Postfix
from lab.smtp import Client
from lab.space import HOME, Space
from lab.vaglio import Daemon, configure

GREYLIST_PORT = 10023

POLICY = (
    f"check_policy_service {{ inet:127.0.0.1:{GREYLIST_PORT}, timeout=10s, try_limit=2, retry_delay=1s,"
    " default_action=DUNNO }"
)

TIZIO = MailHost("mail.tizio.it", "192.0.2.25", "tizio.it", {
    "queue_run_delay": "2s",
    "minimal_backoff_time": "8s",
    "maximal_backoff_time": "8s",
})  # fmt: skip

CAIO = MailHost("mail.caio.it", "203.0.113.25", "caio.it", {
    "smtpd_recipient_restrictions": f"reject_unauth_destination, {POLICY}",
})  # fmt: skip


def vaglio_toml(greylist: Mapping[str, str], state: str = f"{HOME}/vaglio") -> str:
    """Return caio's configuration file; ``greylist`` are the lines of that section, values as TOML writes them."""
    lines = "".join(f"{key} = {value}\n" for key, value in greylist.items())
    return (
        '[identity]\nauthserv_id = "mail.caio.it"\nhostname = "mail.caio.it"\n\n'
        f'[state]\nurl = "sqlite://{state}"\n\n'
        f'[greylist]\nlisten = ["inet:127.0.0.1:{GREYLIST_PORT}"]\n{lines}'
    )


class World:
    """All of it, running; a context manager. ``daemons`` are those whose decisions the story tells.

    ``greylist`` are settings of Vaglio's as TOML writes them, ``caio`` settings of main.cf. Raises LabError, and
    Unavailable where the machine can't have it.
    """

    def __init__(self, greylist: Mapping[str, str], caio: Mapping[str, str] | None = None) -> None:
        with ExitStack() as stack:
            self.space = stack.enter_context(Space())
            self.dns = NameServer(self.space, Zones.read())
            stack.callback(self.dns.close)
            configure(self.space, vaglio_toml(greylist))
            self.greylist = Daemon(self.space, "vaglio-greylist", GREYLIST_PORT)
            self.daemons = [self.greylist]
            self.tizio = Postfix(self.space, TIZIO)
            self.caio = Postfix(self.space, replace(CAIO, settings={**CAIO.settings, **(caio or {})}))
            self._stack = stack.pop_all()

    def connect(self, address: str) -> Client:
        """Connect to caio's Postfix from an address of the lab."""
        return Client(self.space, CAIO.address, address)

    def __enter__(self) -> World:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, trace: TracebackType | None) -> None:
        self._stack.close()
