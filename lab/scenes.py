"""The scenes of the story, as data: who writes to whom by which way, and how it ought to go.

A new daemon adds scenes here, and its own doing to world.py; story.py plays whatever stands here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

TIZIOS_POSTFIX = "submission to mail.tizio.it"
"""A real mail host: its users log in and submit; it signs, queues, and retries by itself."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt to hand the message to caio's Postfix, as it ought to go.

    ``answer`` is a regular expression that Postfix's answer holds; ``decided`` is what Vaglio's daemons decide, in the
    order in which they are asked: a policy daemon's verdict and reason, a chain's story of the message.
    """

    answer: str
    decided: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Scene:
    """A message and its fate.

    ``way`` is TIZIOS_POSTFIX, or the address of a client that tries as often as there are attempts. ``sender`` is that
    of the envelope, and the author and the login too unless there are others. ``bringing`` are header lines of the
    sender's own; ``copying`` has the signatures and all the header below them taken from the last signed message in the
    recipient's mailbox. ``headers`` are regular expressions: each matches exactly one header line of the message that
    landed, and ``without`` none; ``lands`` False means that nothing does. ``refusing`` is a zone that refuses all
    questions of ours from now on; ``warning`` a regular expression: a line that Vaglio's log holds in the end.
    """

    title: str
    way: str
    sender: str
    recipient: str
    attempts: tuple[Attempt, ...]
    lands: bool = True
    headers: tuple[str, ...] = ()
    refusing: str = ""
    warning: str = ""
    bringing: str = ""
    without: str = ""
    author: str = ""
    login: str = ""
    copying: bool = False
    text: str = "Ciao!"

    @property
    def user(self) -> str:
        """Who logs in at tizio's Postfix; "" where nobody does."""
        return (self.login or self.sender) if self.way == TIZIOS_POSTFIX else ""


REFUSED_FOR_NOW = r"^45[01] 4\.7\.1 .*Greylisted.*ref [0-9A-Z]{4}-[0-9A-Z]{4}"
REFUSED = r"^554 5\.7\.1 .*Service unavailable; client \[{}\] listed by {}; see {}; ref [0-9A-Z]{{4}}-[0-9A-Z]{{4}}"
ACCEPTED = r"^250 "

NOT_LISTED = "vaglio-dnsbl pass: not-listed"
LISTED = "vaglio-dnsbl reject: listed"
FIRST_CONTACT = "vaglio-greylist defer: first-contact"
RETRIED = "vaglio-greylist pass: retried"
KNOWN = "vaglio-greylist pass: known"
SIGNED = "vaglio-chain outbound: DKIM signed for tizio.it; delivered"
NOT_SIGNED = "vaglio-chain outbound: not signed (login-mismatch); delivered"
PROVEN_TWICE = "vaglio-chain inbound: SPF pass for tizio.it; DKIM pass for tizio.it; delivered"
SPF_PASS = "vaglio-chain inbound: SPF pass for tizio.it; no DKIM signature; delivered"
SPF_FAIL = "vaglio-chain inbound: SPF fail for tizio.it; no DKIM signature; delivered"
DKIM_FAIL = "vaglio-chain inbound: SPF pass for sempronio.it; DKIM fail for tizio.it; delivered"
NO_MAIL = "vaglio-chain inbound: SPF fail for parked.tizio.it; no DKIM signature; refused for good"

RESULT = r"Authentication-Results: mail\.caio\.it; spf={} "
PROVEN = RESULT.format("pass") + r"smtp\.mailfrom=tizio@tizio\.it;"
BY_KEY = r"(?=.*; dkim={} [^;]*header\.d=tizio\.it [^;]*header\.a={})"
SIGNED_TWICE = BY_KEY.format("pass", "rsa-sha256") + BY_KEY.format("pass", "ed25519-sha256") + PROVEN
UNSIGNED = PROVEN + ".*; dkim=none"
BROKEN = r"(?=.*; dkim=fail [^;]*reason=.*header\.d=tizio\.it)" + RESULT.format("pass")
DISPROVEN = RESULT.format("fail") + r'reason="198\.51\.100\.30 is not in the SPF record of tizio\.it"'
FORGED = "Authentication-Results: mail.caio.it; spf=pass smtp.mailfrom=tizio@tizio.it; dkim=pass header.d=tizio.it"

FORGER = "198.51.100.30"
OFFICE = "192.0.2.77"
"""Where the users of tizio's host sit."""
PASSWORDS = {"tizio@tizio.it": "password1", "sempronio@tizio.it": "Kz7-quarzo-lima", "mevio@mevio.it": "9-pini-ieri"}
"""By which they log in."""

FORGERY = Scene(
    "a forger with a mail server writes as Tizio, and brings results along that Caio's host never wrote", FORGER,
    "tizio@tizio.it", "caio@caio.it",
    (Attempt(REFUSED_FOR_NOW, (NOT_LISTED, FIRST_CONTACT)), Attempt(ACCEPTED, (NOT_LISTED, RETRIED, SPF_FAIL))),
    bringing=f"{FORGED}\n", headers=(DISPROVEN,), without=re.escape(FORGED),
)  # fmt: skip
COPY = Scene(
    "he does better: from a domain of his own, with the signature of Tizio's letter, on another text", FORGER,
    "news@sempronio.it", "caio@caio.it",
    (Attempt(REFUSED_FOR_NOW, (NOT_LISTED, FIRST_CONTACT)), Attempt(ACCEPTED, (NOT_LISTED, RETRIED, DKIM_FAIL))),
    headers=(BROKEN,), author="tizio@tizio.it", copying=True, text="Caio, please pay to my new account.",
)  # fmt: skip

FIRST = Scene(
    "Tizio writes to Caio for the first time, and his own host signs the letter", TIZIOS_POSTFIX, "tizio@tizio.it",
    "caio@caio.it",
    (Attempt(REFUSED_FOR_NOW, (SIGNED, NOT_LISTED, FIRST_CONTACT)),
     Attempt(ACCEPTED, (NOT_LISTED, RETRIED, PROVEN_TWICE))),
    headers=(SIGNED_TWICE, "X-Greylist: delayed "),
)  # fmt: skip

OF_THE_HOUSE = Scene(
    "Mevio, another customer of Tizio's host, logs in as himself and writes as Tizio: not signed, whatever SPF says",
    TIZIOS_POSTFIX, "tizio@tizio.it", "caio@caio.it", (Attempt(ACCEPTED, (NOT_SIGNED, NOT_LISTED, KNOWN, SPF_PASS)),),
    headers=(UNSIGNED,), login="mevio@mevio.it",
)  # fmt: skip

SCENES = (
    FIRST,
    Scene(
        "a guest in a home computer sends spam and never comes back", "198.51.100.66", "win@prizes.example",
        "sempronia@caio.it", (Attempt(REFUSED_FOR_NOW, (NOT_LISTED, FIRST_CONTACT)),), lands=False,
    ),
    Scene(
        "a client on a blocklist writes", "198.51.100.77", "win@prizes.example", "sempronia@caio.it",
        (Attempt(REFUSED.format(r"198\.51\.100\.77", r"lab-blocklist \(sent mail to a trap on 20 November\)",
                                "https://bl.lab.test/198.51.100.77"), (LISTED,)),),
        lands=False,
    ),
    Scene(
        "a client on Caio's own list writes", "198.51.100.78", "offers@prizes.example", "caio@caio.it",
        (Attempt(REFUSED.format(r"198\.51\.100\.78", r"caios-own \(sells addresses, and does not stop\)",
                                "https://mail.caio.it/blocked"), (LISTED,)),),
        lands=False,
    ),
    Scene(
        "a blocklist begins to answer 127.255.255.254 to everything, while Tizio's other host writes",
        "198.51.100.25", "tizio@tizio.it", "caio@caio.it", (Attempt(ACCEPTED, (NOT_LISTED, KNOWN, SPF_PASS)),),
        refusing="other.lab.test", warning=r"the list lab-other is suspended: .*127\.255\.255\.254",
    ),
    Scene(
        "Tizio writes to Caio again: nobody waits twice", TIZIOS_POSTFIX, "tizio@tizio.it", "caio@caio.it",
        (Attempt(ACCEPTED, (SIGNED, NOT_LISTED, KNOWN, PROVEN_TWICE)),), headers=(SIGNED_TWICE,),
    ),
    OF_THE_HOUSE,
    FORGERY,
    COPY,
    Scene(
        "the same forger tries it with a name of Tizio's that sends no mail", FORGER, "boss@parked.tizio.it",
        "caio@caio.it",
        (Attempt(REFUSED_FOR_NOW, (NOT_LISTED, FIRST_CONTACT)),
         Attempt(r"^550 5\.7\.23 SPF fail: parked\.tizio\.it \(MAIL FROM\) .* sends no mail at all; .*ref ",
                 (NOT_LISTED, RETRIED, NO_MAIL))),
        lands=False,
    ),
)  # fmt: skip

TRIED = (FIRST, OF_THE_HOUSE, FORGERY, COPY)
"""Those that ``vaglio try`` tells again, without a mail server."""
