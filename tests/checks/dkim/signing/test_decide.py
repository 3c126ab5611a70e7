"""Whose mail is for us to sign, and for whom a login may have it signed; what settings say of keys."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from vaglio.checks.dkim.signing.decide import SIGN, Policy, Reason
from vaglio.checks.dkim.signing.settings import DkimSignSettings, KeySettings
from vaglio.facts import Client, Envelope, Facts, Session, Stage, client_of
from vaglio.mailboxes import Mailbox

OURS = client_of("127.0.0.1")


def policy(**settings: Any) -> Policy:
    return Policy(DkimSignSettings.model_validate(settings))


def facts(client: Client = OURS, login: str = "") -> Facts:
    return Facts(client, Envelope("", ""), Session(Stage.MAIL, sasl_username=login))


def decided(login: str, domain: str, *signing: str, one: bool = False, **settings: Any) -> str:
    """Return what is decided on mail of an author at a domain, keys of these signing."""
    asked, about = policy(**settings), facts(login=login)
    found = asked.decide(about, 1, [Mailbox("a", domain)])
    return (asked.with_keys(about, domain, signing, one) if found == SIGN else found).reason.value


# --- whose mail ---


@pytest.mark.parametrize(
    ("client", "ours"),
    [
        (OURS, True),
        (client_of("")._replace(local=True), True),
        (client_of(""), False),
        (client_of("unknown"), False),
        (client_of("garbage", "evil.example"), False),
        (client_of("fe80::1%eth0", "evil.example"), False),
        (client_of("127.0.0.1 "), False),
        (client_of("192.0.2.1"), False),
    ],
)
def test_who_comes_from_nowhere_that_can_be_read_is_a_stranger(client: Client, ours: bool) -> None:
    assert policy().is_ours(facts(client)) is ours
    assert not policy(networks=[]).is_ours(facts(client))


# --- whose login ---


@pytest.mark.parametrize(
    ("login", "domain", "signing", "reason"),
    [
        ("a@tizio.it", "tizio.it", ["tizio.it"], Reason.SIGNED),
        ("a@tizio.it", "tizio.it", ["rete.example"], Reason.SIGNED),
        ("a@tizio.it", "caio.it", ["caio.it"], Reason.LOGIN_MISMATCH),
        ("a@tizio.it", "x.tizio.it", ["tizio.it"], Reason.SIGNED),
        ("a@tizio.it", "x.tizio.it", ["x.tizio.it"], Reason.LOGIN_MISMATCH),
        ("a@tizio.it", "y.x.tizio.it", ["x.tizio.it", "tizio.it"], Reason.LOGIN_MISMATCH),
        ("a@x.tizio.it", "y.x.tizio.it", ["tizio.it"], Reason.SIGNED),
        ("a@x.tizio.it", "x.tizio.it", ["tizio.it"], Reason.SIGNED),
        ("a@x.tizio.it", "tizio.it", ["tizio.it"], Reason.LOGIN_MISMATCH),
        ("a@it", "tizio.it", ["tizio.it"], Reason.LOGIN_MISMATCH),
        ("a@co.uk", "tizio.co.uk", ["tizio.co.uk"], Reason.LOGIN_MISMATCH),
        ("a@localhost", "localhost", ["localhost"], Reason.SIGNED),
        ("a@", "tizio.it", ["tizio.it"], Reason.LOGIN_MISMATCH),
        ("a@ti\u200dzio.it", "tizio.it", ["tizio.it"], Reason.LOGIN_MISMATCH),
        ("a@tizio.it", "tizio.it", [], Reason.NO_KEY),
        ("", "tizio.it", ["tizio.it"], Reason.SIGNED),
    ],
)
def test_a_login_speaks_for_its_domain_and_what_is_below_unless_that_has_keys_of_its_own(
    login: str, domain: str, signing: list[str], reason: Reason
) -> None:
    assert decided(login, domain, *signing) == reason


def test_a_login_that_speaks_for_others_is_named() -> None:
    names = {"news@tizio.it": ["caio.it"], "Caffè.it": ["x.tizio.it"], "root": ["Altri.it."]}
    assert decided("NEWS@tizio.it", "caio.it", "caio.it", login_domains=names) == Reason.SIGNED
    assert decided("a@xn--caff-8oa.it", "x.tizio.it", "x.tizio.it", login_domains=names) == Reason.SIGNED
    assert decided("root", "altri.it", "altri.it", login_domains=names) == Reason.SIGNED
    assert decided("root", "tizio.it", "tizio.it", one=True, login_domains=names) == Reason.LOGIN_MISMATCH


@pytest.mark.parametrize(
    ("setting", "one", "reason"),
    [
        ("auto", True, Reason.SIGNED), ("auto", False, Reason.LOGIN_MISMATCH), ("sign", False, Reason.SIGNED),
        ("mismatch", True, Reason.LOGIN_MISMATCH),
    ],
)  # fmt: skip
@pytest.mark.parametrize("login", ["anna", "tizio.it", "caio.it"])
def test_a_login_without_a_domain_is_nobody_s_where_keys_are_of_several(
    login: str, setting: str, one: bool, reason: Reason
) -> None:
    assert decided(login, "tizio.it", "tizio.it", one=one, login_without_domain=setting) == reason


# --- what settings say of keys ---


@pytest.mark.parametrize(
    ("domain", "selector"),
    [
        ("ti\u200dzio.it", "a"), ("it", "a"), ("-a.it", "a"), ("a/../b.it", "a"), ("tizio.it..", "a"), ("", "a"),
        ("tizio.it", "a..b"), ("tizio.it", ""), ("tizio.it", "a" * 64), (".".join(["a" * 60] * 4), "abcdefgh"),
    ],
)  # fmt: skip
def test_a_key_has_a_name_that_the_dns_can_tell(domain: str, selector: str) -> None:
    with pytest.raises(ValidationError):
        KeySettings(domain=domain, selector=selector, file="/k.pem")


def test_a_domain_is_kept_in_a_labels() -> None:
    assert KeySettings(domain="Caffè.it.", selector="a", file="/k.pem").domain == "xn--caff-8oa.it"
    with pytest.raises(ValidationError):
        policy(login_domains={"a@tizio.it": ["ti\u200dzio.it"]})
