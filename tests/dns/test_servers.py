"""Which name servers are asked."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaglio.dns.servers import Address, parse_server, system_servers


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.53", Address("192.0.2.53", 53)),
        ("192.0.2.53:5353", Address("192.0.2.53", 5353)),
        ("2001:db8::53", Address("2001:db8::53", 53)),
        ("[2001:DB8:0::53]", Address("2001:db8::53", 53)),
        ("[::1]:5353", Address("::1", 5353)),
    ],
)
def test_servers_are_taken_with_and_without_a_port(text: str, address: Address) -> None:
    assert parse_server(text) == address
    assert parse_server(str(address)) == address


@pytest.mark.parametrize("text", ["", "ns.caio.it", "192.0.2.53:0", "192.0.2.53:99999", "192.0.2.256", "[192.0.2"])
def test_a_server_that_is_none_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="DNS server") as caught:
        parse_server(text)
    assert repr(text) in str(caught.value)


def test_the_systems_servers_are_those_of_its_file(tmp_path: Path) -> None:
    path = tmp_path / "resolv.conf"
    path.write_text(
        "# comment\nsearch caio.it\nnameserver 127.0.0.53\n nameserver\t::1 # here\nnameserver fe80::1%eth0\n"
        "nameserver nonsense\nnameserver 1.2.3\noptions edns0\n"
    )
    assert system_servers(path) == [Address("127.0.0.53"), Address("::1"), Address("fe80::1%eth0")]


@pytest.mark.parametrize("text", [None, "", "search caio.it\n"])
def test_a_system_without_servers_is_named(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "resolv.conf"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ValueError, match=r"no DNS servers: .*resolv\.conf.*\[dns\]"):
        system_servers(path)


@given(st.text() | st.text("0123456789abcdef:.[]%", max_size=40))
def test_no_text_makes_it_fail_otherwise(text: str) -> None:
    try:
        address = parse_server(text)
    except ValueError:
        return
    assert parse_server(str(address)) == address
