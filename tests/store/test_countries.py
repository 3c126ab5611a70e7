"""Countries of addresses, from files that the test writes itself: MaxMind DB format 2.0, 24 bits a record."""

from __future__ import annotations

import ipaddress
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaglio.store import countries
from vaglio.store.countries import open_countries

MARKER = b"\xab\xcd\xefMaxMind.com"

Value = str | int | Mapping[str, "Value"] | None


def encode(value: Value) -> bytes:
    """Return a value of the data section: text, a whole number, a table."""
    if isinstance(value, str):
        return _control(2, len(value.encode())) + value.encode()
    if isinstance(value, int):
        return number(6, 4, value)
    assert value is not None
    return table({name: encode(inner) for name, inner in value.items()})


def table(members: Mapping[str, bytes]) -> bytes:
    return _control(7, len(members)) + b"".join(encode(name) + inner for name, inner in members.items())


def number(kind: int, size: int, value: int) -> bytes:
    return _control(kind, size) + value.to_bytes(size, "big")


def _control(kind: int, size: int) -> bytes:
    more = bytes([size - 29] if size >= 29 else [])
    small = min(size, 29)
    return (bytes([kind << 5 | small]) if kind < 8 else bytes([small, kind - 7])) + more


def database(records: Mapping[str, Value], kind: str = "GeoLite2-Country", version: int = 6) -> bytes:
    """Return a whole file with these records by network; IPv4 is below ::/96, as everybody has it."""
    nodes: list[list[int | Value]] = [[None, None]]
    for network, record in records.items():
        address = ipaddress.ip_network(network)
        packed, length = address.network_address.packed, address.prefixlen
        if address.version == 4 and version == 6:
            packed, length = bytes(12) + packed, length + 96
        bits = [packed[place // 8] >> 7 - place % 8 & 1 for place in range(length)]
        node = 0
        for bit in bits[:-1]:
            if nodes[node][bit] is None:
                nodes.append([None, None])
                nodes[node][bit] = len(nodes) - 1
            follower = nodes[node][bit]
            assert isinstance(follower, int), "networks overlap"
            node = follower
        nodes[node][bits[-1]] = record
    data, tree = b"", b""
    for sides in nodes:
        for side in sides:
            if isinstance(side, int):
                pointer = side
            elif side is None:
                pointer = len(nodes)
            else:
                pointer = len(nodes) + 16 + len(data)
                data += encode(side)
            tree += pointer.to_bytes(3, "big")
    about = {
        "binary_format_major_version": number(5, 2, 2), "binary_format_minor_version": number(5, 2, 0),
        "build_epoch": number(9, 8, 1), "database_type": encode(kind), "description": table({}),
        "ip_version": number(5, 2, version), "languages": _control(11, 0), "node_count": encode(len(nodes)),
        "record_size": number(5, 2, 24),
    }  # fmt: skip
    return tree + bytes(16) + data + MARKER + table(about)


def maxmind(code: str) -> Value:
    return {"continent": {"code": "XX"}, "country": {"geoname_id": 1, "iso_code": code, "names": {"en": "x" * 40}}}


RECORDS: Mapping[str, Value] = {
    "192.0.2.0/24": maxmind("IT"),
    "198.51.100.0/25": maxmind("de"),
    "203.0.113.0/24": {"continent": {"code": "EU"}},
    "2001:db8::/32": maxmind("FR"),
}


@pytest.fixture(params=["in memory", "mapped"])
def path(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    if request.param == "mapped":
        monkeypatch.setattr(countries, "MOST_IN_MEMORY", 0)
    return written(tmp_path, database(RECORDS))


def written(folder: Path, content: bytes) -> Path:
    path = folder / "countries.mmdb"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("address", "country"),
    [
        ("192.0.2.1", "IT"),
        ("192.0.2.255", "IT"),
        ("198.51.100.1", "DE"),
        ("198.51.100.200", ""),
        ("203.0.113.1", ""),
        ("127.0.0.1", ""),
        ("2001:db8::1", "FR"),
        ("2001:DB8:1::", "FR"),
        ("::1", ""),
        ("", ""),
        ("unknown", ""),
        ("192.0.2.256", ""),
        ("192.0.2.1/24", ""),
        ("192.0.2.1\0", ""),
        ("\udc80", ""),
        ("1" * 5000, ""),
    ],
)
def test_an_address_has_its_country_or_none(path: Path, address: str, country: str) -> None:
    assert open_countries(str(path))(address) == country


def test_a_file_without_ipv6_knows_no_country_there(tmp_path: Path) -> None:
    country = open_countries(str(written(tmp_path, database({"192.0.2.0/24": maxmind("IT")}, version=4))))
    assert (country("192.0.2.1"), country("2001:db8::1")) == ("IT", "")


@pytest.mark.parametrize(
    ("record", "country"),
    [
        ({"country_code": "IT", "country": "Italy"}, "IT"),
        ({"country": "it", "country_name": "Italy"}, "IT"),
        ({"country": {"iso_code": "ITA"}}, ""),
        ({"country": {"iso_code": "I\n"}}, ""),
        ({"country": {"iso_code": 12}}, ""),
        ({"country": {"names": {"en": "Italy"}}}, ""),
        ({"country": 1}, ""),
        ({}, ""),
        ("IT", ""),
    ],
)
def test_records_of_others_are_understood_and_odd_ones_are_no_country(
    tmp_path: Path, record: Value, country: str
) -> None:
    path = written(tmp_path, database({"198.51.100.0/24": maxmind("FR"), "192.0.2.0/24": record}))
    assert open_countries(str(path))("192.0.2.1") == country


def trouble(path: Path) -> str:
    with pytest.raises(OSError, match=str(path)) as caught:
        open_countries(str(path))
    return str(caught.value)


def test_a_missing_file_is_said_to_be(tmp_path: Path) -> None:
    assert "No such file" in trouble(tmp_path / "nothing.mmdb")
    assert "Is a directory" in trouble(tmp_path)


@pytest.mark.parametrize("content", [b"", b"x" * 1000, MARKER, MARKER + b"\xff" * 100, database(RECORDS)[1000:]])
@pytest.mark.parametrize("most_in_memory", [0, 10**6])
def test_a_file_of_another_kind_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, most_in_memory: int
) -> None:
    monkeypatch.setattr(countries, "MOST_IN_MEMORY", most_in_memory)
    assert "no whole file in MaxMind's format" in trouble(written(tmp_path, content))


def test_a_file_without_countries_is_refused_with_its_kind(tmp_path: Path) -> None:
    path = written(tmp_path, database({"192.0.2.0/24": {"autonomous_system_number": 64500}}, kind="GeoLite2-ASN"))
    assert '"GeoLite2-ASN"' in trouble(path)


def test_a_missing_reader_is_named_with_the_extra_that_has_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "maxminddb", None)
    assert 'pip install "vaglio[geo]"' in trouble(path)


def test_a_file_that_is_written_over_changes_nothing_where_it_is_in_memory(tmp_path: Path) -> None:
    path = written(tmp_path, database(RECORDS))
    country = open_countries(str(path))
    path.write_bytes(b"")
    assert country("192.0.2.1") == "IT"


WHOLE = database(RECORDS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("damaged")


@given(place=st.integers(0, len(WHOLE) - 1), flip=st.integers(1, 255))
def test_a_damaged_file_ends_in_an_answer_or_a_refusal(folder: Path, place: int, flip: int) -> None:
    content = bytearray(WHOLE)
    content[place] ^= flip
    try:
        country = open_countries(str(written(folder, bytes(content))))
    except OSError:
        return
    for address in ("192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1", "::1"):
        found = country(address)
        assert found == "" or (len(found) == 2 and found.isascii() and found.isupper())
