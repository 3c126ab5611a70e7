"""Does the DNS tell the key that signs? What is found is named as whoever edits the zone can repair it.

The judgement is that of a verifier: something is signed with the private key and verified with the record, whatever
its form. Only where that fails the text is looked at. Which name servers to ask is not known here (``survey``).
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from itertools import permutations
from typing import NamedTuple

from vaglio.checks.dkim.key import LEAST_BITS, Key, key_of, key_record
from vaglio.checks.dkim.outcome import Flawed, Reason, shown
from vaglio.checks.dkim.signing.record import kind, record_name, record_text
from vaglio.checks.dkim.signing.sign import PrivateKey
from vaglio.checks.dkim.tags import BadTags, parse_tags, unfolded
from vaglio.names import registered_domain
from vaglio.ports import Answer, Outcome, Resolver

_PROBE = b"Shall this be believed?"
_MOST_PIECES = 4


class Finding(StrEnum):
    """What was found, in a word."""

    MATCHES = "matches"
    MISSING = "missing"
    NO_KEY = "no-key"
    REVOKED = "revoked"
    DIFFERS = "differs"
    TESTING = "test-mode"
    NOT_FOR_THIS = "not-for-this"
    SEVERAL = "several"
    IN_PIECES = "in-pieces"
    QUOTED = "quoted"
    ESCAPED = "escaped"
    CUT = "cut"
    NO_KIND = "no-kind"
    UNREADABLE = "unreadable"
    DNS = "dns-failed"


class Published(NamedTuple):
    """What a record is for a key. ``words`` say it, for whoever edits the zone; ``note`` is to be known all the same
    where it fits.
    """

    finding: Finding
    words: str
    note: str = ""

    @property
    def fits(self) -> bool:
        """Whether verifiers accept what the key signs."""
        return self.finding is Finding.MATCHES

    @property
    def temporary(self) -> bool:
        """Whether the DNS did not tell."""
        return self.finding is Finding.DNS


async def compare(domain: str, selector: str, key: PrivateKey, resolver: Resolver) -> Published:
    """Compare a key with its record as ``resolver`` tells it; where it does not fit, look at what is around it."""
    name = record_name(domain, selector)
    found = judge(await resolver.lookup(name, "TXT"), name, key)
    if found.fits or found.temporary:
        return found
    alias = await resolver.lookup(name, "CNAME")
    if alias.outcome is Outcome.OK:
        return found._replace(words=f"{found.words}; it is an alias (CNAME) of {shown(alias.values[0], 100)}")
    if found.finding is Finding.MISSING:
        # Web forms and zone files add the zone to what is put in.
        for zone in dict.fromkeys((registered_domain(domain) or domain, domain)):
            double = f"{name}.{zone}"
            if judge(await resolver.lookup(double, "TXT"), double, key).fits:
                words = f"the record is at {double}: leave out {zone} where you put it in, or end it with a dot"
                return found._replace(words=words)
    return found


def judge(answer: Answer, name: str, key: PrivateKey) -> Published:
    """Say what an answer for ``name`` is for a key."""
    try:
        told = key_of(answer, name, key.algorithm)
    except Flawed as error:
        return _trouble(answer, key, error.flaw.reason, error.flaw.words)
    if not _verifies(told, key):
        return Published(Finding.DIFFERS, "the record has another key than the one that signs")
    if told.testing:
        return Published(Finding.TESTING, "the record says t=y, a test: signatures count for nothing until that is "
                                          "taken out")  # fmt: skip
    note = "t=s: mail of subdomains can't have its own address in i=" if told.strict else ""
    return Published(Finding.MATCHES, "the record has the key that signs", note)


def gone(answer: Answer, name: str) -> Published:
    """Say whether a key is no longer to be believed: its record has an empty p=, is no key, or is not there.
    ``MATCHES`` then.
    """
    if answer.outcome is Outcome.TEMPERROR:
        return _dns(answer)
    if answer.outcome is not Outcome.OK:
        return Published(Finding.MATCHES, "there is no record any more")
    found = [one for one in map(key_record, answer.values) if one is not None]
    if not found:
        told = f' ("{shown(answer.values[0], 40)}")' if answer.values else ""
        return Published(Finding.MATCHES, f"there is no key any more: the TXT record is none{told}")
    if all(not isinstance(one, Key) and one.reason is Reason.REVOKED for one in found):
        return Published(Finding.MATCHES, "the record has an empty p=")
    return Published(Finding.DIFFERS, f"the record at {name} still has a key")


_FAILURES = {
    "network": "no network leads there, or nothing listens",
    "garbled": "what came was no answer",
    "loop": "aliases lead in a circle",
    "too-many": "too many questions at once",
}
"""What a resolver says of a failure, in words."""


def failure(answer: Answer) -> str:
    """Say why the DNS did not tell."""
    return _FAILURES.get(answer.why, answer.why) or "temporary failure"


def _verifies(told: Key, key: PrivateKey) -> bool:
    return told.verifies(key.sign(_PROBE), _PROBE)


def _dns(answer: Answer) -> Published:
    return Published(Finding.DNS, f"the DNS did not tell ({failure(answer)})")


def _trouble(answer: Answer, key: PrivateKey, reason: Reason, words: str) -> Published:
    """Say what is wrong with a record that no verifier can use."""
    if reason is Reason.DNS:
        return _dns(answer)
    if not answer.values:
        return Published(Finding.MISSING, "there is no TXT record")
    if reason is Reason.REVOKED:
        return Published(Finding.REVOKED, "the key was revoked: p= of the record is empty")
    for look in (_misspelt, _in_pieces, _unsuited):
        if found := look(answer.values, key):
            return found
    if reason is Reason.SEVERAL_KEYS:
        return Published(Finding.SEVERAL, f"there are {len(answer.values)} TXT records, and must be one")
    if reason is Reason.NO_KEY:
        return Published(Finding.NO_KEY, f'the TXT record is no key: it is "{shown(answer.values[0], 40)}"')
    if reason is Reason.WRONG_KEY:
        return Published(Finding.NOT_FOR_THIS, words)
    return Published(Finding.UNREADABLE, words)


_REPAIRS: tuple[tuple[Finding, Callable[[str], str], str], ...] = (
    (Finding.ESCAPED, lambda text: text.replace("\\;", ";"),
     'there is a backslash before each ";" of the record: write ";" alone'),
    (Finding.QUOTED, lambda text: text.replace('"', ""),
     "there are quotation marks within the record: between its strings the text has to go on without any"),
    (Finding.QUOTED, lambda text: text.replace('"', "").replace("\\", ""),
     "there are quotation marks and backslashes within the record: take them out"),
)  # fmt: skip


def _misspelt(values: tuple[str, ...], key: PrivateKey) -> Published | None:
    """Try what makes a good record out of a bad one."""
    for finding, repaired, words in _REPAIRS:
        if any(repaired(text) != text and _is_good(repaired(text), key) for text in values):
            return Published(finding, words)
    return None


def _in_pieces(values: tuple[str, ...], key: PrivateKey) -> Published | None:
    """Try whether several records make one, or one ends too early."""
    if 1 < len(values) <= _MOST_PIECES:
        count = f"the key is spread over {len(values)} TXT records"
        if any(_is_good("".join(order).replace('"', ""), key) for order in permutations(values)):
            return Published(Finding.IN_PIECES, f"{count}: it must be one record of several strings")
    for text in values:
        part = unfolded(_tag(text, "p"))
        if part and part != key.public and key.public.startswith(part):
            told = f"p= ends after {len(part)} of {len(key.public)} characters"
            return Published(Finding.CUT, f"the record is cut: {told}; texts of more than 255 take several strings")
        if not part and unfolded(text) and unfolded(record_text(key)).startswith(unfolded(text)):
            return Published(Finding.CUT, f'the record ends after "{shown(text, 30)}": in a zone file its text stands '
                                          'in quotation marks, or all behind the first ";" is a comment')  # fmt: skip
    return None


def _unsuited(values: tuple[str, ...], key: PrivateKey) -> Published | None:
    """Look whether the key is right and what stands beside it is not."""
    ours = [text for text in values if unfolded(_tag(text, "p")) == key.public]
    if len(values) != 1 or not ours:
        return None
    wanted, found = kind(key.algorithm), _tag(ours[0], "k")
    if (found or "rsa") != wanted:
        told = f"k={shown(found, 20)}" if found else "no k=, which means RSA"
        return Published(Finding.NO_KIND, f"the record has {told}: the key needs k={wanted}")
    return None


def _is_good(text: str, key: PrivateKey) -> bool:
    try:
        told = key_of(Answer(Outcome.OK, (text,)), "", key.algorithm, LEAST_BITS)
    except Flawed:
        return False
    return _verifies(told, key)


def _tag(text: str, name: str) -> str:
    try:
        return parse_tags(text).get(name, "")
    except BadTags:
        return ""
