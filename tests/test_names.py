from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vaglio.facts import client_of, pack_address
from vaglio.names import GENERIC_WORDS as WORDS
from vaglio.names import a_labels, domain_of, is_domain, is_generic, is_selector, name_state, registered_domain


@pytest.mark.parametrize(
    ("name", "domain"),
    [
        ("mx1.out.Caio.IT", "caio.it"),
        ("caio.it.", "caio.it"),
        ("mail.a.co.uk", "a.co.uk"),
        ("co.uk", ""),
        ("it", ""),
        ("localhost", ""),
        ("mail-1.outbound.protection.outlook.com", "outlook.com"),
        ("ec2-192-0-2-7.eu-west-1.compute.amazonaws.com", "ec2-192-0-2-7.eu-west-1.compute.amazonaws.com"),
        ("ec2-192-0-2-7.compute-1.amazonaws.com", ""),
        ("someone.github.io", "someone.github.io"),
        ("192.0.2.7", ""),
        ("2001:db8::1", ""),
        ("a..b.it", ""),
        ("with space.it", ""),
        ("a." * 200 + "it", ""),
        ("", ""),
    ],
)
def test_the_registered_domain_of_a_name(name: str, domain: str) -> None:
    assert registered_domain(name) == domain


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("host-192-0-2-7.isp.example", "192.0.2.7"),
        ("7.2.0.192.isp.example", "192.0.2.7"),
        ("ip192.0.2.7.isp.example", "192.0.2.7"),
        ("192-168-002-007.isp.example", "192.168.2.7"),
        ("h192168002007.isp.example", "192.168.2.7"),
        ("007002168192.isp.example", "192.168.2.7"),
        ("x-168-2-7.isp.example", "192.168.2.7"),
        ("198x51x100.isp.example", "198.51.100.7"),
        ("pC6336407.isp.example", "198.51.100.7"),
        ("c6-33-64-07.isp.example", "198.51.100.7"),
        ("076433c6.isp.example", "198.51.100.7"),
        ("20010db8000100020000000000000007.isp.example", "2001:db8:1:2::7"),
        ("2001-db8-1-2--7.isp.example", "2001:db8:1:2::7"),
        ("cpe-2001-0db8-0001-0002.isp.example", "2001:db8:1:2::7"),
        ("7.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.2.0.0.0.1.0.0.0.8.b.d.0.1.0.0.2.isp.example", "2001:db8:1:2::7"),
        ("dyn-3.isp.example", "192.0.2.7"),
        ("pppoe12.isp.example", "192.0.2.7"),
        ("a.DHCP.isp.example", "192.0.2.7"),
        ("b-pool-4.isp.example", "192.0.2.7"),
        ("dsl.isp.example", "2001:db8::1"),
    ],
)
def test_a_name_made_from_its_address_or_with_a_telling_word_is_generic(name: str, address: str) -> None:
    assert is_generic(name, pack_address(address), WORDS)


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("mail.caio.it", "192.0.2.7"),
        ("caio.it", "192.0.2.7"),
        ("mail-wr1-f41.google.com", "209.85.221.41"),
        ("a48-102.smtp-out.amazonses.com", "54.240.48.102"),
        ("mail.dynamics.com", "192.0.2.7"),
        ("out.pool.com", "192.0.2.7"),
        ("mx.192-0-2-7.example", "192.0.2.7"),
        ("adslmail.caio.it", "192.0.2.7"),
        ("carpool.caio.it", "192.0.2.7"),
        ("mx-1-2-3.caio.it", "2001:db8::1:2:3"),
        ("mail-am6eur05on2052.outbound.protection.outlook.com", "2001:db8:1:2::7"),
        ("mail.caio.it", ""),
    ],
)
def test_a_mail_server_s_name_is_proper(name: str, address: str) -> None:
    assert not is_generic(name, pack_address(address), WORDS)


def test_the_words_are_the_admin_s() -> None:
    assert not is_generic("dyn-3.isp.example", b"", ())
    assert is_generic("fibre-3.isp.example", b"", ["Fibre"])


@pytest.mark.parametrize(
    ("name", "reverse", "state"),
    [
        ("unknown", "unknown", "none"),
        ("unknown", "mx.caio.it", "unverified"),
        ("ip-198-51-100-7.isp.example", "", "generic"),
        ("mx.caio.it", "mx.caio.it", "proper"),
    ],
)
def test_the_state_of_a_name(name: str, reverse: str, state: str) -> None:
    assert name_state(client_of("198.51.100.7", name, reverse), WORDS) == state


def test_the_suffix_list_is_loaded_with_the_first_name_only() -> None:
    code = (
        "import sys; import vaglio.names, vaglio.checks.greylist.pool;"
        "sys.exit('publicsuffixlist' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@settings(deadline=None, max_examples=300)
@given(
    st.text(max_size=300) | st.from_regex(r"[a-z0-9.-]{0,80}", fullmatch=True),
    st.binary(min_size=4, max_size=4) | st.binary(min_size=16, max_size=16) | st.just(b""),
)
def test_no_name_makes_the_pool_fail(name: str, packed: bytes) -> None:
    is_generic(name, packed, WORDS)
    domain = registered_domain(name)
    assert registered_domain(domain) == domain


@pytest.mark.parametrize("hostile", ["1-" * 500_000, "a" * 1_000_000, "x." + "." * 1_000_000])
def test_hostile_names_cost_no_more_than_a_bounded_prefix(hostile: str) -> None:
    assert is_generic(hostile, b"1234", WORDS)
    assert registered_domain(hostile) == ""


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("tizio.it", "tizio.it"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("straße.example", "xn--strae-oqa.example"),  # strasse.example is somebody else's
        ("BÜCHER.example", "xn--bcher-kva.example"),
        ("例え。jp", "xn--r8jz45g.jp"),
    ],
)
def test_names_become_a_labels(name: str, labels: str) -> None:
    assert a_labels(name) == labels


@pytest.mark.parametrize("name", ["\udcff.it", "ü" * 254, "-ü.it", "ü" * 60 + ".it"])
def test_what_cant_be_a_name_has_no_a_labels(name: str) -> None:
    with pytest.raises(UnicodeError):
        a_labels(name)


@pytest.mark.parametrize(
    ("text", "domain"),
    [
        ("tizio.it", "tizio.it"), ("Tizio.IT.", "tizio.it"), ("caffè.it", "xn--caff-8oa.it"), ("a_b.it", "a_b.it"),
        ("ti\u200dzio.it", ""), ("it", ""), ("", ""), (".", ""), ("tizio.it..", ""), (".tizio.it", ""), ("-a.it", ""),
        ("a-.it", ""), ("a/../b.it", ""), ("a..it", ""), ("192.0.2.1", ""), ("tizio.it\n", ""), ("*.tizio.it", ""),
        ("a b.it", ""), (f"{'a' * 64}.it", ""), (".".join(["a" * 60] * 5), ""), ("\udcff.it", ""),
    ],
)  # fmt: skip
def test_a_domain_is_what_the_dns_can_tell(text: str, domain: str) -> None:
    assert domain_of(text) == domain
    assert is_domain(text) is (text == domain != "")


@pytest.mark.parametrize("text", ["2026a", "a.b", "A-1", "a_b", "1"])
def test_a_selector_is_labels(text: str) -> None:
    assert is_selector(text, "tizio.it")


@pytest.mark.parametrize("text", ["", "a..b", ".a", "a.", "-a", "a-", "è", "a b", "a\n", "a/b", "a" * 64])
def test_what_is_no_selector(text: str) -> None:
    assert not is_selector(text)


def test_selector_and_domain_fit_into_a_name_together() -> None:
    domain = ".".join(["a" * 60] * 3 + ["b" * 30])
    assert is_selector("s" * (253 - len(domain) - len("._domainkey.")), domain)
    assert not is_selector("s" * (254 - len(domain) - len("._domainkey.")), domain)
