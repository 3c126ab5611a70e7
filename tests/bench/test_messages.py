"""The messages that milters are measured with are what they pretend to be."""

from __future__ import annotations

import email
import email.policy
from email.message import EmailMessage
from pathlib import Path

import pytest

from bench import messages


def parsed(text: bytes) -> EmailMessage:
    found = email.message_from_bytes(text, policy=email.policy.default)
    assert isinstance(found, EmailMessage)
    return found


@pytest.mark.parametrize(("size", "wanted"), [("2 kB", 2e3), ("50 kB", 5e4), ("1 MB", 1e6)])
def test_a_message_has_its_size_and_no_line_that_is_too_long(size: str, wanted: float) -> None:
    message = messages.SIZES[size]()
    assert len(message) == pytest.approx(wanted, rel=0.1)
    assert max(map(len, message.splitlines())) <= 998
    assert message == messages.SIZES[size]()


def test_the_newsletter_is_as_large_as_the_message_of_medium_size_and_nearly_all_html() -> None:
    message = messages.newsletter()
    assert len(message) == pytest.approx(len(messages.medium()), rel=0.1)
    plain, page = (part.get_content() for part in parsed(message).iter_parts() if isinstance(part, EmailMessage))
    assert len(page) > 0.7 * len(message)
    assert (page.count("<a href="), page.count("<img src="), plain.count("<")) == (96, 48, 0)
    assert "perché" in page


@pytest.mark.parametrize(
    ("size", "parts"),
    [("2 kB", ["text/plain"]), ("50 kB", ["text/plain", "text/html"]), ("1 MB", ["text/plain", "application/pdf"])],
)
def test_a_message_has_the_parts_of_its_kind(size: str, parts: list[str]) -> None:
    message = parsed(messages.SIZES[size]())
    leaves = [part for part in message.walk() if not part.is_multipart()]
    assert [part.get_content_type() for part in leaves] == parts
    assert all(part.defects == [] and part.get_payload(decode=True) for part in leaves)
    assert len(message.keys()) in (15, 16)


def test_of_twenty_mixed_messages_most_are_small_and_one_is_large(tmp_path: Path) -> None:
    found = messages.write(tmp_path / "messages")
    sizes = sorted(file.stat().st_size for file in found["mixed"].glob("*.eml"))
    assert len(sizes) == 20
    assert [size > 40_000 for size in sizes] == [False] * 15 + [True] * 5
    assert [size > 900_000 for size in sizes] == [False] * 19 + [True]
    assert set(found) == {"mixed", *messages.SIZES}
