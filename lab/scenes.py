"""The scenes of the story, as data: who writes to whom by which way, and how it ought to go.

A new daemon adds scenes here, and its own doing to world.py; story.py plays whatever stands here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from lab.dovecot import INBOX, JUNK

TIZIOS_POSTFIX = "submission to mail.tizio.it"
"""A real mail host: its users log in and submit; it signs, queues, and retries by itself."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt to hand the message to caio's Postfix, as it ought to go.

    ``answer`` is a regular expression that Postfix's answer holds; ``decided`` is what Vaglio's daemons decide, in the
    order in which they are asked, each a regular expression that matches the whole of it: a policy daemon's verdict and
    reason, a chain's story of the message.
    """

    answer: str
    decided: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Scene:
    """A message and its fate.

    ``way`` is TIZIOS_POSTFIX, or the address of a client that tries as often as there are attempts. ``sender`` is that
    of the envelope, and the author and the login too unless there are others. ``bringing`` are header lines of the
    sender's own; ``copying`` has the signatures and all the header below them taken from the last signed message in the
    recipient's mailbox; ``raw`` is the message as a whole, in place of all that. ``headers`` are regular expressions:
    each matches exactly one header line of the message that landed, and ``without`` none; ``folder`` is where it
    lands, ``lands`` False means that nothing does. ``refusing`` is a zone that refuses all questions of ours from now
    on; ``warning`` a regular expression: a line that Vaglio's log holds in the end, and ``why`` are some that what
    ``vaglio why`` says of the scene holds. ``actor`` and ``gist`` are for the summary: who sends, and in a few words
    why it ends so.
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
    subject: str = "Ciao"
    text: str = "Ciao!"
    raw: str = ""
    folder: str = INBOX
    why: tuple[str, ...] = ()
    actor: str = ""
    gist: str = ""

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
NOT_SIGNED = r"vaglio-chain outbound: not signed \(login-mismatch\); delivered"
HAM = r"spam score (-[\d.]+|[0-4](\.\d+)?) of 5"
SPAM = r"spam score ([5-9]|1[0-4])(\.\d+)? of 5 \(.*\); subject marked \[SPAM\]"
PROVEN_TWICE = f"vaglio-chain inbound: SPF pass for tizio.it; DKIM pass for tizio.it; {HAM}; delivered"
SPF_PASS = f"vaglio-chain inbound: SPF pass for tizio.it; no DKIM signature; {HAM}; delivered"
SPF_FAIL = f"vaglio-chain inbound: SPF fail for tizio.it; no DKIM signature; {HAM}; delivered"
DKIM_FAIL = f"vaglio-chain inbound: SPF pass for sempronio.it; DKIM fail for tizio.it; {HAM}; delivered"
NO_MAIL = r"vaglio-chain inbound: SPF fail for parked.tizio.it; .*refused for good"
OF_A_STRANGER = "vaglio-chain inbound: SPF pass for avvisi-clienti.example; no DKIM signature; {}"
GTUBE = OF_A_STRANGER.format(r"spam score 10\d\d(\.\d+)? of 5 \(GTUBE 1000, [^;]*\); refused for good")
TAGGED = OF_A_STRANGER.format(f"{SPAM}; delivered")

RESULT = r"Authentication-Results: mail\.caio\.it; spf={} "
PROVEN = RESULT.format("pass") + r"smtp\.mailfrom=tizio@tizio\.it;"
BY_KEY = r"(?=.*; dkim={} [^;]*header\.d=tizio\.it [^;]*header\.a={})"
SIGNED_TWICE = BY_KEY.format("pass", "rsa-sha256") + BY_KEY.format("pass", "ed25519-sha256") + PROVEN
UNSIGNED = PROVEN + ".*; dkim=none"
BROKEN = r"(?=.*; dkim=fail [^;]*reason=.*header\.d=tizio\.it)" + RESULT.format("pass")
DISPROVEN = RESULT.format("fail") + r'reason="198\.51\.100\.30 is not in the SPF record of tizio\.it"'
FORGED = "Authentication-Results: mail.caio.it; spf=pass smtp.mailfrom=tizio@tizio.it; dkim=pass header.d=tizio.it"

FORGER = "198.51.100.30"
STRANGER = "198.51.100.90"
OFFICE = "192.0.2.77"
"""Where the users of tizio's host sit."""
PASSWORDS = {"tizio@tizio.it": "password1", "sempronio@tizio.it": "Kz7-quarzo-lima", "mevio@mevio.it": "9-pini-ieri"}
"""By which they log in."""

FRAUD = "new account"
"""What the forger is after."""

FORGERY = Scene(
    "a forger with a mail server writes as Tizio, and brings results along that Caio's host never wrote", FORGER,
    "tizio@tizio.it", "caio@caio.it",
    (Attempt(REFUSED_FOR_NOW, (NOT_LISTED, FIRST_CONTACT)), Attempt(ACCEPTED, (NOT_LISTED, RETRIED, SPF_FAIL))),
    bringing=f"{FORGED}\n", headers=(DISPROVEN,), without=re.escape(FORGED), text=f"Caio, I have a {FRAUD}: pay there.",
    actor="a forger", gist="SPF fail, and the results he brought are gone",
)  # fmt: skip
COPY = Scene(
    "he does better: from a domain of his own, with the signature of Tizio's letter, on another text", FORGER,
    "news@sempronio.it", "caio@caio.it",
    (Attempt(REFUSED_FOR_NOW, (NOT_LISTED, FIRST_CONTACT)), Attempt(ACCEPTED, (NOT_LISTED, RETRIED, DKIM_FAIL))),
    headers=(BROKEN,), author="tizio@tizio.it", copying=True, text=f"Caio, please pay to my {FRAUD}.",
    actor="a forger", gist="the copied signature fails",
)  # fmt: skip

FIRST = Scene(
    "Tizio writes to Caio for the first time, and his own host signs the letter", TIZIOS_POSTFIX, "tizio@tizio.it",
    "caio@caio.it",
    (Attempt(REFUSED_FOR_NOW, (SIGNED, NOT_LISTED, FIRST_CONTACT)),
     Attempt(ACCEPTED, (NOT_LISTED, RETRIED, PROVEN_TWICE))),
    headers=(SIGNED_TWICE, "X-Greylist: delayed "), actor="Tizio", gist="signed, and waited once",
)  # fmt: skip

CLEAN = r"X-Spam-Status: No, score=[-\d.]+ required=5\.0 "
MARKED = (r"X-Spam-Flag: YES$", r"X-Spam-Score: [\d.]+$", r"X-Spam-Level: \*{5,14}$")
UNMARKED = r"Subject: \[|X-Spam-Flag: YES"

LETTER = """\
Ciao Caio,

sabato vieni a cena? Porto io il vino; se puoi, prendi il pane. Sempronia arriva con il treno delle sette.

A presto,
Tizio"""
"""What friends write."""

EMPTY = Scene(
    "Tizio writes again and nobody waits twice, but he sends it too early: it has no subject and no text",
    TIZIOS_POSTFIX, "tizio@tizio.it", "caio@caio.it",
    (Attempt(ACCEPTED, (SIGNED, NOT_LISTED, KNOWN, PROVEN_TWICE)),),
    headers=(r"X-Spam-Flag: NO$", rf"(?=.*\bNO_SUBJECT=)(?=.*\bEMPTY_BODY=){CLEAN}"), without=UNMARKED,
    raw="From: Tizio <tizio@tizio.it>\nTo: <caio@caio.it>\nDate: {now}\nMessage-ID: <2@tizio.it>\n\n",
    why=(r"\+[\d.]+ There is no subject", r"\+[\d.]+ There is no text"), actor="Tizio", gist="signed",
)  # fmt: skip

TEST = Scene(
    "a stranger sends GTUBE, the string that every spam filter takes for spam: refused, and he hears of it", STRANGER,
    "news@avvisi-clienti.example", "caio@caio.it",
    (Attempt(REFUSED_FOR_NOW, (NOT_LISTED, FIRST_CONTACT)),
     Attempt(r"^550 5\.7\.1 .*looks like spam\. .*; ref [0-9A-Z]{4}-[0-9A-Z]{4}$", (NOT_LISTED, RETRIED, GTUBE))),
    lands=False, subject="Is your filter awake?",
    text="XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X",
    why=(r"\+1000 It is the test message for spam filters",), actor="a stranger", gist="GTUBE",
)  # fmt: skip

PHISHING = Scene(
    "he goes on in earnest, as Caio's bank, and says himself that it is no spam: it lands in Junk, with a mark",
    STRANGER, "news@avvisi-clienti.example", "caio@caio.it", (Attempt(ACCEPTED, (NOT_LISTED, KNOWN, TAGGED)),),
    folder=JUNK,
    headers=(r"Subject: \[SPAM\] Il suo conto", *MARKED, r"X-Spam-Status: Yes, .*\bLISTED_LAB_LINKS=2\.5\b"),
    without=r"X-Spam-(Flag: NO|Status: No)",
    why=("a link leads to conto-verifica.example, which lab-links knows as a phishing site",
         r"It scored [\d.]+ of 5: spam\.", r"Its subject was marked \[SPAM\]"),
    actor="a stranger", gist="marked [SPAM]",
    raw="""\
From: "Banca del Borgo - Servizio Clienti" <sicurezza@avvisi-clienti.example>
To: <caio@caio.it>
Reply-To: <assistenza@conto-verifica.example>
Subject: Il suo conto e' stato sospeso: verifica entro 24 ore
X-Spam-Flag: NO
X-Spam-Status: No, score=-5.0
MIME-Version: 1.0
Content-Type: text/html; charset=utf-8

<html><body>
<p>Gentile cliente,</p>
<p>abbiamo notato un accesso insolito al suo conto. Per motivi di sicurezza il conto &egrave; stato sospeso e la sua
carta bloccata. Confermi i suoi dati e la password entro 24 ore, altrimenti il conto verr&agrave; chiuso.</p>
<p><a href="http://conto-verifica.example/accesso?id=4711">www.bancadelborgo.it/area-clienti</a></p>
<p>Cordiali saluti, il servizio clienti</p>
</body></html>
""",
)  # fmt: skip

FORTUNE = Scene(
    "and he has a fortune to share: it lands in Junk, too", STRANGER, "news@avvisi-clienti.example", "caio@caio.it",
    (Attempt(ACCEPTED, (NOT_LISTED, KNOWN, TAGGED)),), folder=JUNK,
    headers=(r"Subject: \[SPAM\] A sum", *MARKED, r"X-Spam-Status: Yes, .*\bWORDS_FORTUNE="),
    why=(r"It tells of a fortune",), actor="a stranger", gist="marked [SPAM]",
    raw="""\
From: "Dr. Ambrose Teller" <teller@avvisi-clienti.example>
To: undisclosed-recipients:;
Reply-To: <ambrose.teller.office@gmail.com>
Subject: A sum of money waits for your word

Dear friend,

I am the manager of a bank. A late client of mine left the sum of four million five hundred thousand US dollars
($4,500,000.00) and no next of kin. I propose to name you the beneficiary of this inheritance: we share half and half,
it is 100% risk free. Send me your full name, telephone number and bank account, and keep it strictly confidential.

Act now: the transfer must be made this week.
""",
)  # fmt: skip

OF_THE_HOUSE = Scene(
    "Mevio, another customer of Tizio's host, logs in as himself and writes as Tizio: not signed, whatever SPF says",
    TIZIOS_POSTFIX, "tizio@tizio.it", "caio@caio.it", (Attempt(ACCEPTED, (NOT_SIGNED, NOT_LISTED, KNOWN, SPF_PASS)),),
    headers=(UNSIGNED,), login="mevio@mevio.it", actor="Mevio, as Tizio", gist="not signed",
)  # fmt: skip

SCENES = (
    FIRST,
    Scene(
        "a guest in a home computer sends spam and never comes back", "198.51.100.66", "win@prizes.example",
        "sempronia@caio.it", (Attempt(REFUSED_FOR_NOW, (NOT_LISTED, FIRST_CONTACT)),), lands=False,
        subject="You have won", text="Answer with your address, and the prize is yours.",
        actor="a guest in a home computer", gist="never came back",
    ),
    Scene(
        "a client on a blocklist writes", "198.51.100.77", "win@prizes.example", "sempronia@caio.it",
        (Attempt(REFUSED.format(r"198\.51\.100\.77", r"lab-blocklist \(sent mail to a trap on 20 November\)",
                                "https://bl.lab.test/198.51.100.77"), (LISTED,)),),
        lands=False, subject="You have won", text="Answer with your address, and the prize is yours.",
        actor="clients on blocklists", gist="by lab-blocklist",
    ),
    Scene(
        "a client on Caio's own list writes", "198.51.100.78", "offers@prizes.example", "caio@caio.it",
        (Attempt(REFUSED.format(r"198\.51\.100\.78", r"caios-own \(sells addresses, and does not stop\)",
                                "https://mail.caio.it/blocked"), (LISTED,)),),
        lands=False, subject="Offers of the week", text="A thousand addresses for the price of one.",
        actor="clients on blocklists", gist="by Caio's own list",
    ),
    Scene(
        "a blocklist begins to answer 127.255.255.254 to everything, while Tizio's other host writes",
        "198.51.100.25", "tizio@tizio.it", "caio@caio.it", (Attempt(ACCEPTED, (NOT_LISTED, KNOWN, SPF_PASS)),),
        refusing="other.lab.test", warning=r"the list lab-other is suspended: .*127\.255\.255\.254",
        actor="Tizio", gist="unharmed by the list that lists everybody",
    ),
    EMPTY,
    Scene(
        "then he writes the letter itself: nothing marks it", TIZIOS_POSTFIX,
        "tizio@tizio.it", "caio@caio.it", (Attempt(ACCEPTED, (SIGNED, NOT_LISTED, KNOWN, PROVEN_TWICE)),),
        headers=(SIGNED_TWICE, "Subject: Cena di sabato$", "X-Spam-Flag: NO$", CLEAN), without=UNMARKED,
        subject="Cena di sabato", text=LETTER, actor="Tizio", gist="signed",
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
        lands=False, subject="Pay at once", text="Caio, the bill of today must be paid today.",
        actor="a forger", gist="the name sends no mail",
    ),
    TEST,
    PHISHING,
    FORTUNE,
)  # fmt: skip

TRIED = (FIRST, OF_THE_HOUSE, FORGERY, COPY, TEST, PHISHING)
"""Those that ``vaglio try`` tells again, without a mail server."""
