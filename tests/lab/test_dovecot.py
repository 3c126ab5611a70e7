"""A Dovecot in the lab: it files what is spam into Junk, and its users move mail."""

from __future__ import annotations

import smtplib
from collections.abc import Iterator

import pytest

from lab.dovecot import EXAMPLE, INBOX, JUNK, Dovecot, configuration, transport
from lab.space import Space
from lab.waiting import Unavailable
from lab.world import CAIO

RECIPIENT, OTHER = "caio@caio.it", "sempronia@caio.it"


def letter(subject: str, flag: str) -> str:
    return f"From: <tizio@tizio.it>\r\nSubject: {subject}\r\nX-Spam-Flag: {flag}\r\n\r\nthe {subject}\r\n"


@pytest.fixture(scope="module")
def dovecot() -> Iterator[Dovecot]:
    try:
        with Space() as space:
            running = Dovecot(space, CAIO)
            socket = transport(CAIO)["virtual_transport"].removeprefix("lmtp:unix:")
            with smtplib.LMTP(str(space.path(socket)), local_hostname=CAIO.name) as lmtp:
                for subject, flag in (("ham", "NO"), ("spam", "YES"), ("news", "NO")):
                    lmtp.sendmail("tizio@tizio.it", [RECIPIENT], letter(subject, flag))
            yield running
    except Unavailable as error:
        pytest.skip(f"no Dovecot here: {error}")


def subjects(messages: list[bytes]) -> set[str]:
    lines = [line.decode() for message in messages for line in message.splitlines()]
    return {line.removeprefix("Subject: ") for line in lines if line.startswith("Subject: ")}


@pytest.mark.root
def test_what_is_flagged_as_spam_is_filed_into_junk(dovecot: Dovecot) -> None:
    assert subjects(dovecot.mailbox(RECIPIENT, JUNK)) >= {"spam"}
    assert subjects(dovecot.mailbox(RECIPIENT)) >= {"ham"}
    assert not subjects(dovecot.mailbox(RECIPIENT)) & {"spam"}


@pytest.mark.root
def test_what_a_user_moves_lies_in_the_other_folder(dovecot: Dovecot) -> None:
    dovecot.move(RECIPIENT, INBOX, JUNK, "body", "the news")
    assert "news" in subjects(dovecot.mailbox(RECIPIENT, JUNK))
    assert subjects(dovecot.mailbox(RECIPIENT)) == {"ham"}


@pytest.mark.root
def test_each_recipient_has_a_mailbox_of_his_own(dovecot: Dovecot) -> None:
    assert dovecot.mailbox(OTHER) == []
    assert dovecot.maildir(OTHER) != dovecot.maildir(RECIPIENT)
    assert dovecot.maildir(OTHER, JUNK) == f"{dovecot.maildir(OTHER)}/.{JUNK}"


@pytest.mark.parametrize("version", ["2.3.19.1", "2.4.1-4"])
def test_either_version_is_told_to_sort_by_the_shipped_script(version: str) -> None:
    text = configuration(version, "/x")
    assert f"/x/sieve/{EXAMPLE.name}" in text
    assert text.count("{") == text.count("}")
    assert text.startswith("dovecot_config_version = ") == version.startswith("2.4")  # which must stand first


def test_of_another_version_is_said_that_nobody_knows_it() -> None:
    with pytest.raises(Unavailable, match=r"Dovecot 3\.0 is neither of 2\.3 nor 2\.4"):
        configuration("3.0", "/x")
