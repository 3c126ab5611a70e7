"""DKIM through real mail servers: what we sign, others accept, and what others sign, we accept; by RSA and by Ed25519.

Tizio's users submit mail to his Postfix, on a port for each who signs: vaglio-dkim-sign with either engine, OpenDKIM
and dkimpy-milter. Caio's Postfix has all of them verify it, and they say what they found in the delivered message.
Debian's OpenDKIM (2.11) knows Ed25519.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import NamedTuple, Self

import authres
import pytest

from lab import dkim, milters, submission
from lab.dns import NameServer, Zones
from lab.postfix import Postfix
from lab.smtp import Client
from lab.space import HOME, Space
from lab.vaglio import Daemon, configure
from lab.waiting import Unavailable, until
from lab.world import CAIO, TIZIO
from tests.postfix.dkimletters import LETTERS, TOO_LONG

pytestmark = pytest.mark.root

OFFICE, FORWARDER = "192.0.2.77", "198.51.100.25"
LOGIN, PASSWORD = "tizio@tizio.it", "parola d'ordine"

RSA = dkim.new_key("tizio.it", "rsa", "rsa")
ED25519 = dkim.new_key("tizio.it", "ed25519", "ed25519")


class Signer(NamedTuple):
    """Who signs on this port, by how many keys."""

    port: int
    keys: int
    start: Callable[[Space, str], str]


class Verifier(NamedTuple):
    """Who verifies, and its name in the results."""

    authserv_id: str
    start: Callable[[Space, str, str], str]


OURS = """\
[identity]
authserv_id = "{authserv_id}"
hostname = "{authserv_id}"
[state]
url = "memory:"
[dkim.{section}]
listen = ["unix:{socket}"]
socket_group = "postfix"
engine = "{engine}"
"""
SIMPLE = 'header_form = "simple"\nbody_form = "simple"\n'


def ours(section: str, engine: str, more: str = "") -> Callable[..., str]:
    """Return what starts a milter of ours."""

    def start(space: Space, name: str, authserv_id: str = "mail.tizio.it") -> str:
        if reason := milters.missing(engine):
            raise Unavailable(reason)
        socket, config = f"{dkim.FOLDER}/{name}.sock", f"{HOME}/{name}/vaglio.toml"
        text = OURS.format(authserv_id=authserv_id, section=section, socket=socket, engine=engine)
        keys = RSA.toml(space) + ED25519.toml(space) if section == "sign" else ""
        configure(space, text + more + keys, config)
        Daemon(space, f"vaglio-dkim-{section}", socket, config)
        return f"unix:{socket}"

    return start


SIGNERS = {
    "vaglio": Signer(1587, 2, ours("sign", "native")),
    "vaglio-libmilter": Signer(2587, 2, ours("sign", "libmilter")),
    "vaglio-simple": Signer(6587, 2, ours("sign", "native", SIMPLE)),
    "opendkim-rsa": Signer(3587, 1, partial(dkim.opendkim_signs, key=RSA)),
    "opendkim-ed25519": Signer(4587, 1, partial(dkim.opendkim_signs, key=ED25519, form="relaxed/simple")),
    "dkimpy": Signer(5587, 2, partial(dkim.dkimpy_signs, rsa=RSA, ed25519=ED25519)),
}
VERIFIERS = {
    "vaglio": Verifier("mail.caio.it", ours("verify", "native")),
    "vaglio-libmilter": Verifier("libmilter.caio.it", ours("verify", "libmilter")),
    "opendkim": Verifier("opendkim.caio.it", dkim.opendkim_verifies),
    "dkimpy": Verifier("dkimpy.caio.it", dkim.dkimpy_verifies),
}


def different(signer: str, verifier: str) -> set[str]:
    """Return the letters that a verifier reads otherwise than they are.

    dkimpy-milter leaves out fields with bytes beyond ASCII, and has one blank behind each colon, whatever there was,
    which matters in the simple form. What it signs itself is without such fields.
    """
    if verifier != "dkimpy" or signer == "dkimpy":
        return set()
    blanks = {"no blank behind the colon", "blanks behind the colon", "very long header", "addresses"}
    return {"8-bit subject"} | (blanks if signer == "vaglio-simple" else set())


class Rig:
    """Both mail hosts with their milters, and a name server; a context manager. Who is not installed is ``missing``."""

    def __init__(self) -> None:
        self.missing: dict[str, str] = {}
        self._arrived: dict[str, bytes] = {}
        with ExitStack() as stack:
            self.space = stack.enter_context(Space())
            dns = NameServer(self.space, Zones.read())
            stack.callback(dns.close)
            for key in (RSA, ED25519):
                dns.zones.add(key.zone)
            dkim.make_folders(self.space)
            signing, verifying = dict(self._signers()), dict(self._verifiers())
            services = "".join(service(SIGNERS[name].port, where) for name, where in signing.items())
            self.tizio = Postfix(self.space, replace(
                TIZIO, submission=services, settings={"non_smtpd_milters": signing.get("vaglio", "")},
            ))  # fmt: skip
            self.tizio.add_login(LOGIN, PASSWORD)
            self.caio = Postfix(self.space, replace(
                CAIO, settings={"smtpd_milters": " ".join(verifying.values()), "milter_default_action": "tempfail"},
            ))  # fmt: skip
            self._stack = stack.pop_all()

    def _signers(self) -> Iterator[tuple[str, str]]:
        for name, signer in SIGNERS.items():
            try:
                yield name, signer.start(self.space, f"sign-{name}")
            except Unavailable as error:
                self.missing[name] = str(error)

    def _verifiers(self) -> Iterator[tuple[str, str]]:
        for name, verifier in VERIFIERS.items():
            try:
                yield name, verifier.start(self.space, f"verify-{name}", verifier.authserv_id)
            except Unavailable as error:
                self.missing[name] = str(error)

    def submit(self, signer: str, letters: Mapping[str, bytes]) -> None:
        """Hand letters in, to be signed, for recipients of these names."""
        port, certificate = SIGNERS[signer].port, self.tizio.certificate
        with Client(self.space, TIZIO.address, OFFICE, port=port, certificate=certificate) as client:
            assert client.log_in(LOGIN, PASSWORD).code == 235
            for recipient, letter in letters.items():
                answer = client.send(LOGIN, [recipient], letter).last
                assert answer.code == 250, (recipient, answer)

    def forward(self, letters: Mapping[str, bytes]) -> None:
        """Send letters to Caio's host, as they are."""
        with Client(self.space, CAIO.address, FORWARDER) as client:
            for recipient, letter in letters.items():
                assert client.send("", [recipient], letter).last.code == 250

    def arrived(self, recipient: str) -> bytes:
        """Await the message for a recipient."""
        if recipient not in self._arrived:
            (self._arrived[recipient],) = until(lambda: self.caio.mailbox(recipient), f"mail for {recipient}")
        return self._arrived[recipient]

    def needs(self, *names: str) -> None:
        """Skip a test if any of these is not there."""
        if reasons := [self.missing[name] for name in names if name in self.missing]:
            pytest.skip("; ".join(dict.fromkeys(reasons)))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, trace: TracebackType | None) -> None:
        self._stack.close()


def service(port: int, milter: str) -> str:
    """Return the shipped submission service, on a port of its own and with this milter."""
    shipped, _, _ = submission.services(example=milters.SUBMISSION).partition("submissions inet")
    text = shipped.replace("submission inet", f"{port} inet").replace("$vaglio_outbound", milter)
    assert milter in text
    return text


def addressed(whose: str, names: Sequence[str] = tuple(LETTERS)) -> dict[str, str]:
    """Return the recipients of letters, by their names."""
    return {name: f"{whose}-{number}@caio.it" for number, name in enumerate(names)}


HANDED_IN = addressed("sendmail", [name for name in LETTERS if name not in ("dots", "very long body")])
"""Recipients of what the sendmail command takes as it is: for that, a line of a dot is the end."""


def results(message: bytes, verifier: str) -> list[dict[str, str]]:
    """Return what a verifier has written into a message."""
    header = re.sub(rb"\n[ \t]+", b" ", message.partition(b"\n\n")[0]).decode("latin-1").split("\n")
    read = [authres.parse(line) for line in header if line.startswith("Authentication-Results:")]
    (found,) = [one.results for one in read if one.authserv_id == VERIFIERS[verifier].authserv_id]
    return [
        {"result": one.result, **{told.name: told.value for told in one.properties}}
        for one in found
        if one.method == "dkim"
    ]


def summary(message: bytes, verifier: str) -> list[str]:
    return [one["result"] for one in results(message, verifier)]


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    try:
        rig = Rig()
    except Unavailable as error:
        pytest.skip(f"no real Postfix here: {error}")
    with rig:
        for name in SIGNERS:
            if name not in rig.missing:
                letters = {recipient: LETTERS[letter] for letter, recipient in addressed(name).items()}
                rig.submit(name, letters | {f"{name}-too-long@caio.it": TOO_LONG})
        for name, recipient in HANDED_IN.items():
            rig.tizio.sendmail(LOGIN, recipient, LETTERS[name].decode())
        yield rig


@pytest.mark.parametrize("verifier", VERIFIERS)
@pytest.mark.parametrize("signer", SIGNERS)
def test_what_one_signs_the_other_accepts(rig: Rig, signer: str, verifier: str) -> None:
    rig.needs(signer, verifier)
    found = {name: summary(rig.arrived(recipient), verifier) for name, recipient in addressed(signer).items()}
    other = different(signer, verifier)
    assert found == {name: ["fail" if name in other else "pass"] * SIGNERS[signer].keys for name in LETTERS}


@pytest.mark.parametrize("signer", SIGNERS)
def test_the_results_say_by_whom_and_by_which_key(rig: Rig, signer: str) -> None:
    rig.needs(signer)
    message = rig.arrived(addressed(signer)["plain"])
    found = results(message, "vaglio")
    assert {one["d"] for one in found} == {"tizio.it"}
    assert {one["s"]: one["a"] for one in found}.items() <= {"rsa": "rsa-sha256", "ed25519": "ed25519-sha256"}.items()
    assert len({one["s"] for one in found}) == SIGNERS[signer].keys
    marks = re.sub(rb"\s", b"", message)
    assert all(b";b=" + one["b"].encode() in marks for one in found)


@pytest.mark.parametrize("verifier", VERIFIERS)
def test_a_line_that_is_longer_than_smtp_has_them_is_broken_on_its_way_and_all_signatures_with_it(
    rig: Rig, verifier: str
) -> None:
    """RFC 5321 4.5.3.1.6 has 998 bytes; Postfix breaks longer ones as it hands them on (smtp_line_length_limit)."""
    rig.needs(verifier)
    signers = [name for name in SIGNERS if name not in rig.missing]
    found = {name: summary(rig.arrived(f"{name}-too-long@caio.it"), verifier) for name in signers}
    assert found == {name: ["fail"] * SIGNERS[name].keys for name in signers}


@pytest.mark.parametrize("verifier", VERIFIERS)
def test_what_is_handed_in_by_the_sendmail_command_is_signed_too(rig: Rig, verifier: str) -> None:
    rig.needs("vaglio", verifier)
    found = {name: summary(rig.arrived(recipient), verifier) for name, recipient in HANDED_IN.items()}
    other = different("vaglio", verifier)
    assert found == {name: ["fail" if name in other else "pass"] * 2 for name in HANDED_IN}


@pytest.mark.parametrize("signer", SIGNERS)
def test_what_is_forwarded_still_passes_and_what_was_changed_does_not(rig: Rig, signer: str) -> None:
    rig.needs(signer)
    message = rig.arrived(addressed(signer)["plain"])
    changes = {
        "as-it-was": message,
        "body": message + b"Clicca qui\n",
        "subject": message.replace(b"\nSubject: ciao", b"\nSubject: Offerta!"),
        "from": message.replace(b"\nFrom:", b"\nFrom: Capo <capo@tizio.it>\nFrom:"),
    }
    recipients = {name: f"{signer}-{name}@caio.it" for name in changes}
    rig.forward({recipients[name]: changed for name, changed in changes.items()})
    found = {name: summary(rig.arrived(recipient), "vaglio") for name, recipient in recipients.items()}
    count = SIGNERS[signer].keys
    assert found == {"as-it-was": ["pass"] * count} | {name: ["fail"] * count for name in ("body", "subject", "from")}
