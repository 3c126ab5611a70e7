"""Whose mail is signed, and what the check puts into a message; what it signs, the verifier takes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from pydantic import ValidationError

from tests.checks.dkim import samples
from tests.checks.dkim.samples import BODY, HEADER, NOW, Clock, ed25519, judge, record, rsa
from vaglio.checks.dkim.signing import explain, text
from vaglio.checks.dkim.signing.check import Context, DkimSign
from vaglio.checks.dkim.signing.decide import Decision, Reason
from vaglio.checks.dkim.signing.fields import NEVER
from vaglio.checks.dkim.signing.keyfile import KeyTrouble
from vaglio.checks.dkim.signing.settings import DkimSignSettings
from vaglio.checks.dkim.signing.sign import Signer
from vaglio.examination import MAX_FIELDS, Field, Message
from vaglio.facts import Envelope, Facts, Session, Stage, client_of
from vaglio.verdict import Action, Verdict

US = "tizio@tizio.it"


class Keys:
    """Keys by domain; a text in their place is what is wrong with them."""

    def __init__(self, known: Mapping[str, Sequence[Signer] | str] | None = None) -> None:
        self.known = {"tizio.it": (Signer("tizio.it", "uno", rsa()),)} if known is None else known
        self.asked: list[tuple[str, str]] = []
        self.one_organization = True
        self.new = ""

    def waiting(self, domain: str) -> str:
        return self.new if domain.endswith(self.new) else ""

    def signers(self, local: str, domain: str) -> Sequence[Signer]:
        self.asked.append((local, domain))
        found = self.known.get(domain, ())
        if isinstance(found, str):
            raise KeyTrouble(found)
        return found


def facts(login: str = US, sender: str = US, client: str = "192.0.2.7", daemon_name: str = "") -> Facts:
    session = Session(Stage.MAIL, "laptop", sasl_username=login, daemon_name=daemon_name)
    return Facts(client_of(client), Envelope(sender, ""), session)


def verdict(
    header: Sequence[Field] = HEADER, body: bytes = BODY, about: Facts | None = None,
    to: Sequence[str] = ("caio@caio.it",), keys: Keys | None = None, **settings: Any,
) -> Verdict:  # fmt: skip
    """Return what became of a message."""
    about = about or facts()
    context = Context(Clock(), keys or Keys(), lambda: "REF", lambda domain: "it" if domain == "caio.it" else "en")
    examination = DkimSign(DkimSignSettings.model_validate(settings), context).examine(about)
    examination.end_of_headers(header)
    for start in range(0, len(body), 7):
        examination.body(body[start : start + 7])
    found = asyncio.run(examination.verdict(Message(about, tuple(to), header)))
    examination.close()
    return found


def with_from(*values: bytes) -> list[Field]:
    return [*HEADER[1:], *(Field(b"From", b" " + value) for value in values)]


def signed(found: Verdict, header: Sequence[Field] = HEADER) -> list[Field]:
    """Return the message's header with its signatures on top."""
    new = [Field(one.name.encode(), b" " + one.value.encode()) for one in found.headers]
    return [*new, *header]


def test_a_users_message_is_signed_and_the_verifier_takes_it() -> None:
    found = verdict()
    assert (found.action, found.reason, found.ref) == (Action.PASS, "signed", "REF")
    (one,) = judge(signed(found))
    assert (one.result, one.signature.domain, one.signature.selector) == ("pass", "tizio.it", "uno")
    assert one.signature.expires == NOW + 7 * 86400
    assert one.signature.length is None
    about = {"author": US, "login": US, "domain": "tizio.it", "selector": "uno", "algorithm": "rsa-sha256"}
    assert found.facts == about


def test_each_key_of_the_domain_signs() -> None:
    keys = Keys({"tizio.it": (Signer("tizio.it", "uno", rsa()), Signer("tizio.it", "due", ed25519()))})
    found = verdict(keys=keys)
    zone = {"uno._domainkey.tizio.it": record(rsa()), "due._domainkey.tizio.it": record(ed25519())}
    assert [(one.signature.algorithm, one.result) for one in judge(signed(found), keys=zone)] == [
        ("rsa-sha256", "pass"), ("ed25519-sha256", "pass"),
    ]  # fmt: skip


@pytest.mark.parametrize("body_form", ["relaxed", "simple"])
@pytest.mark.parametrize("header_form", ["relaxed", "simple"])
def test_in_any_form(header_form: str, body_form: str) -> None:
    found = verdict(header_form=header_form, body_form=body_form)
    assert [one.result for one in judge(signed(found))] == ["pass"]


@pytest.mark.parametrize(
    ("about", "settings", "ours"),
    [
        (facts(), {}, True),
        (facts(login=""), {}, False),
        (facts(), {"authenticated": False}, False),
        (facts(login="", client="127.0.0.1"), {}, True),
        (facts(login="", client="::1"), {}, True),
        (facts(login="", client=""), {}, False),
        (facts(login="", client=""), {"networks": []}, False),
        (facts(login="", client="10.1.2.3"), {"networks": ["10.0.0.0/8"]}, True),
        (facts(login="", client="11.1.2.3"), {"networks": ["10.0.0.0/8"]}, False),
        (facts(login="", daemon_name="ORIGINATING"), {}, True),
        (facts(login="", daemon_name="mail.tizio.it"), {}, False),
        (facts(login="", daemon_name="MSA"), {"daemon_names": ["MSA"]}, True),
    ],
)
def test_mail_of_logins_of_our_networks_and_of_named_services_is_ours(
    about: Facts, settings: dict[str, Any], ours: bool
) -> None:
    keys = Keys()
    found = verdict(about=about, keys=keys, **settings)
    assert bool(found.headers) is ours
    assert found.reason == ("signed" if ours else "not-ours")
    assert found.journalled is ours
    assert bool(keys.asked) is ours


@pytest.mark.parametrize(
    ("header", "reason", "action"),
    [
        ([*HEADER[1:]], Reason.NO_AUTHOR, Action.PASS),
        (with_from(b"tizio"), Reason.NO_AUTHOR, Action.PASS),
        (with_from(b'"half a quoted string <tizio@tizio.it>'), Reason.NO_AUTHOR, Action.PASS),
        (with_from(b"tizio@\xff.it"), Reason.NO_AUTHOR, Action.PASS),
        (with_from(b"tizio@tizio.it", b"tizio@tizio.it"), Reason.SEVERAL_FROM, Action.REJECT),
        ([*HEADER, Field(b"fRoM ", b" x@evil.example")], Reason.SEVERAL_FROM, Action.REJECT),
        (with_from(b"tizio@tizio.it, caio@caio.it"), Reason.SEVERAL_AUTHORS, Action.PASS),
        (with_from(b"tizio@tizio.it, tizia@TIZIO.it"), Reason.SIGNED, Action.PASS),
        (with_from(b"caio@caio.it"), Reason.LOGIN_MISMATCH, Action.PASS),
        ([*HEADER, *[Field(b"X", b" y")] * MAX_FIELDS], Reason.TOO_LARGE, Action.REJECT),
        ([*HEADER, Field(b"X", b"y" * 3_000_000)], Reason.TOO_LARGE, Action.REJECT),
    ],
)
def test_what_from_says_decides(header: list[Field], reason: Reason, action: Action) -> None:
    found = verdict(header)
    assert (found.reason, found.action) == (reason, action)
    assert bool(found.headers) is (reason is Reason.SIGNED)
    assert found.journalled


def test_several_from_may_go_unsigned() -> None:
    found = verdict(with_from(b"tizio@tizio.it", b"caio@caio.it"), several_from="skip")
    assert (found.action, found.headers, found.facts["by"]) == (Action.PASS, (), "dkim.sign.several_from")


@pytest.mark.parametrize(
    ("login", "settings", "may"),
    [
        (US, {}, True),
        ("tizio", {}, True),
        ("altro@TIZIO.it", {}, True),
        ("caio@caio.it", {}, False),
        ("caio@caio.it", {"login_mismatch": "sign"}, True),
        ("caio@caio.it", {"login_domains": {"caio.it": ["Tizio.it"]}}, True),
        ("caio@caio.it", {"login_domains": {"CAIO@caio.it": ["tizio.it"]}}, True),
        ("caio@caio.it", {"login_domains": {"altro@caio.it": ["tizio.it"]}}, False),
        ("tizio", {"login_domains": {"tizio": ["caio.it"]}}, False),
        ("x@nottizio.it", {}, False),
    ],
)
def test_a_login_speaks_for_its_own_domain(login: str, settings: dict[str, Any], may: bool) -> None:
    found = verdict(about=facts(login=login), **settings)
    assert bool(found.headers) is may
    assert found.reason == ("signed" if may else "login-mismatch")


def test_a_login_speaks_for_domains_below_its_own() -> None:
    keys = Keys({"mail.tizio.it": (Signer("tizio.it", "uno", rsa()),)})
    found = verdict(with_from(b"tizio@mail.tizio.it"), keys=keys)
    assert found.facts["domain"] == "tizio.it"
    assert [one.result for one in judge(signed(found, with_from(b"tizio@mail.tizio.it")))] == ["pass"]


@pytest.mark.parametrize(
    ("sender", "policy", "reason", "action"),
    [
        ("x@bounces.tizio.it", "skip", "signed", Action.PASS),
        ("", "reject", "signed", Action.PASS),
        ("x@caio.it", "sign", "signed", Action.PASS),
        ("x@caio.it", "skip", "sender-mismatch", Action.PASS),
        ("x@caio.it", "reject", "sender-mismatch", Action.REJECT),
    ],
)
def test_an_envelope_sender_of_another_organization(sender: str, policy: str, reason: str, action: Action) -> None:
    found = verdict(about=facts(sender=sender), sender_mismatch=policy)
    assert (found.reason, found.action) == (reason, action)


def test_without_a_key_it_goes_unsigned_or_not_at_all() -> None:
    assert verdict(keys=Keys({})).reason == "no-key"
    refused = verdict(keys=Keys({}), no_key="reject")
    assert (refused.action, refused.spoken[:9]) == (Action.REJECT, "550 5.7.1")


def test_keys_that_dont_sign_yet_are_told_from_none() -> None:
    keys = Keys({})
    made = verdict(keys=keys)
    assert "waiting" not in made.facts
    assert explain.explain(made.reason, made.facts, "en", rehearsed=False)[1].endswith("vaglio dkim new tizio.it.")
    keys.new = "tizio.it"
    for found in (verdict(keys=keys), verdict(keys=keys, no_key="reject")):
        assert (found.reason, found.facts["waiting"]) == ("no-key", "tizio.it")
        for language, words in (("en", "don't sign yet"), ("it", "non firmano ancora")):
            why, then = explain.explain(found.reason, found.facts, language, rehearsed=False)
            assert words in why
            assert then.endswith("vaglio dkim rotate tizio.it.")


def test_a_key_that_cant_be_used_defers_and_says_why_in_the_journal() -> None:
    keys = Keys({"tizio.it": "/etc/vaglio/dkim/x.pem: found it readable by others, wanted mode 0640"})
    found = verdict(keys=keys)
    assert (found.action, found.reason, found.spoken[:9]) == (Action.DEFER, "key-trouble", "451 4.7.5")
    assert "readable by others" in str(found.facts["problem"])
    assert "/etc" not in found.spoken
    passed = verdict(keys=keys, on_error="pass")
    assert (passed.action, passed.headers, passed.reason) == (Action.PASS, (), "key-trouble")


def test_exempt_authors_and_recipients_are_left_alone() -> None:
    assert verdict(exempt_domains=["tizio.it"]).facts["by"] == "dkim.sign.exempt_domains: tizio.it"
    found = verdict(to=["a@b.it", "x@lists.caio.it"], exempt_recipients=["lists.caio.it"])
    assert (found.reason, found.headers) == ("exempt-recipient", ())
    assert found.facts["by"] == "dkim.sign.exempt_recipients: lists.caio.it"
    assert verdict(to=["a@b.it"], exempt_recipients=["lists.caio.it"]).headers


def test_fields_can_be_added_to_what_is_signed_and_taken_from_it() -> None:
    header = [*HEADER, Field(b"X-Mailer", b" x"), Field(b"X-Once", b" y")]
    found = verdict(header, oversign=["+X-Mailer"], sign_headers=["+X-Once", "-Cc"])
    (one,) = judge(signed(found, header))
    assert one.result == "pass"
    assert (one.signature.signed.count(b"x-mailer"), one.signature.signed.count(b"x-once")) == (2, 1)
    assert b"cc" not in one.signature.signed


@pytest.mark.parametrize(
    ("settings", "times"),
    [({}, 2), ({"oversign": ["-Subject"]}, 1), ({"sign_headers": ["-Subject"]}, 0)],
)
def test_a_field_is_signed_twice_once_or_not_at_all(settings: dict[str, Any], times: int) -> None:
    (one,) = judge(signed(verdict(**settings)))
    assert (one.result, one.signature.signed.count(b"subject")) == ("pass", times)


@pytest.mark.parametrize(
    ("setting", "change", "why"),
    [
        ("oversign", "-Autocrypt", "not signed once more than it is there"),
        ("sign_headers", "-X-Mailer", "not signed as shipped"),
        ("oversign", "-From", "has From signed always"),
        ("sign_headers", "-FROM", "has From signed always"),
        *((setting, f"+{name}", "never signed") for setting in ("oversign", "sign_headers") for name in sorted(NEVER)),
        ("sign_headers", "+X;y", "name of a header field"),
        ("sign_headers", "+" + 61 * "x", "name of a header field"),
        ("sign_headers", "X-Mailer", "name of a header field"),
    ],
)
def test_a_change_that_changes_nothing_or_does_harm_is_refused(setting: str, change: str, why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        DkimSignSettings.model_validate({setting: [change]})


@pytest.mark.parametrize("several_from", ["reject", "skip"])
def test_from_is_counted_before_the_other_fields(several_from: str) -> None:
    header = [*with_from(b"tizio@tizio.it", b"caio@caio.it"), *[Field(b"X", b" y")] * MAX_FIELDS]
    found = verdict(header[:MAX_FIELDS], several_from=several_from)
    assert (found.reason, found.action.name.lower()) == ("several-from", several_from.replace("skip", "pass"))


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ([Field(b"X", b" y")] * MAX_FIELDS, "2004 fields"),
        ([Field(b"Resent-To", b" y")] * 600, "names to sign"),
        ([Field(b"Content-Transfer-Encoding", b" y")] * 1500, "names to sign"),
        ([Field(b"Cc", b" " + b"y" * 300_000)], "bytes of header to sign"),
    ],
)
def test_what_is_too_large_to_be_signed_is_refused_or_goes_unsigned(more: list[Field], problem: str) -> None:
    found = verdict([*HEADER, *more])
    assert (found.action, found.reason, found.spoken[:9]) == (Action.REJECT, "too-large", "550 5.6.0")
    assert problem in str(found.facts["problem"])
    assert found.facts["by"] == "dkim.sign.too_large"
    passed = verdict([*HEADER, *more], too_large="skip")
    assert (passed.action, passed.headers, passed.reason) == (Action.PASS, (), "too-large")


def test_what_is_not_signed_keeps_the_signatures_it_has() -> None:
    old = [samples.sign(), *HEADER]
    for settings in ({"keys": Keys({})}, {"about": facts("caio@caio.it")}, {"exempt_domains": ["tizio.it"]}):
        found = verdict(old, remove_signatures=True, **settings)
        assert (found.headers, found.changes) == ((), ())


def test_old_signatures_are_taken_out_if_that_is_asked_for() -> None:
    old = [samples.sign(), Field(b"dkim-signature", b" v=1"), *HEADER]
    assert verdict(old).changes == ()
    changes = verdict(old, remove_signatures=True).changes
    assert [(one.name.lower(), one.nth, one.value) for one in changes] == [
        ("dkim-signature", 1, ""), ("dkim-signature", 2, ""),
    ]  # fmt: skip


def test_the_international_domain_of_an_author_is_found_by_its_a_label() -> None:
    keys = Keys({"xn--bcher-kva.example": (Signer("xn--bcher-kva.example", "uno", rsa()),)})
    found = verdict(with_from("x@Bücher.example".encode()), about=facts(login="x"), keys=keys)
    assert found.facts["domain"] == "xn--bcher-kva.example"


@pytest.mark.parametrize("reason", Reason)
@pytest.mark.parametrize("language", ["en", "it", "xx"])
def test_every_reason_has_its_words(reason: Reason, language: str) -> None:
    known = {"author": US, "domain": "tizio.it", "by": "dkim.sign.x", "login": US, "problem": "?", "algorithm": "rsa"}
    why, then = explain.explain(reason, known, language, rehearsed=False)
    assert why
    assert then
    assert "{" not in why + then
    assert bool(explain.brief(reason, known, language)) is (reason is not Reason.NOT_OURS)


def test_replies_of_both_languages_are_ascii_and_end_in_the_reference() -> None:
    for language in ("en", "it"):
        for reason in text._SHIPPED[language]:
            decision = Decision(Action.DEFER if reason is Reason.KEY_TROUBLE else Action.REJECT, reason)
            told = text.reply(decision, "tizio.it", "REF", language)
            assert told.text.isascii()
            assert told.text.endswith("; ref REF")
            assert str(told.code)[0] == told.enhanced[0]
