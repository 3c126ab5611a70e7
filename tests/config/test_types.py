"""Durations, sizes and sockets: what an admin writes, and back again."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vaglio.config.types import (
    format_duration,
    format_size,
    parse_duration,
    parse_size,
    parse_socket,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0s", 0), ("90s", 90), ("5m", 300), ("1h30m", 5400), ("35d", 3_024_000), ("2w", 1_209_600)],
)
def test_a_duration_is_a_number_of_seconds(text: str, seconds: int) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "value", ["", "5", "m", "5 m", "-5m", "5M", "1.5h", "\u0665m", "5m\n", "6000w", 5, None, True, ["5m"]]
)
def test_anything_else_is_no_duration(value: object) -> None:
    with pytest.raises(ValueError, match="a duration"):
        parse_duration(value)


@given(st.integers(0, 36525 * 86400))
@settings(deadline=None)
def test_a_written_duration_reads_back_as_itself(seconds: int) -> None:
    assert parse_duration(format_duration(seconds)) == seconds


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (1, "1 B"), (1500, "1500 B"), (64 * 1024, "64 KiB"), (200_000_000, "200 MB"), (2**30, "1 GiB")],
)
def test_a_size_is_written_in_its_largest_unit(size: int, text: str) -> None:
    assert format_size(size) == text


@given(st.integers(0, 10**8) | st.integers(0, 999).map(lambda n: n * 1024**3))
@settings(deadline=None)
def test_a_written_size_reads_back_as_itself(size: int) -> None:
    assert parse_size(format_size(size)) == size


@pytest.mark.parametrize("value", ["", "200", "MB", "200  MB", "200 mb", "-1 MB", "1.5 GB", 200, None])
def test_anything_else_is_no_size(value: object) -> None:
    with pytest.raises(ValueError, match="a size"):
        parse_size(value)


@pytest.mark.parametrize(
    "address", ["unix:/run/vaglio/x.sock", "inet:127.0.0.1:10023", "inet:[::1]:10023", "inet:mail.caio.it:0"]
)
def test_sockets_are_written_as_postfix_writes_them(address: str) -> None:
    assert parse_socket(address) == address


@pytest.mark.parametrize(
    "value", ["", "unix:x", "unix:/a b", "unix:/" + "x" * 101, "inet:10023", "inet:::1:25", "inet:a:65536", "a:25", 25]
)
def test_anything_else_is_no_socket(value: object) -> None:
    check: Callable[[object], str] = parse_socket
    with pytest.raises(ValueError, match="a socket"):
        check(value)
