"""Lists: what an entry means, what a wrong line says, and that hostile text costs no more than its length."""

from __future__ import annotations

import ipaddress
import os
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vaglio import lists
from vaglio.facts import client_of, pack_address
from vaglio.lists import AddressList, ClientList, NetworkSet, Problem, parse_network

CORPUS = Path(os.environ.get("VAGLIO_DATA") or Path(__file__).parents[2] / "shared" / "data") / "policy"


def clients(*lines: str) -> ClientList:
    found, problems = ClientList.parse(lines, "list")
    assert problems == []
    return found


def addresses(*lines: str) -> AddressList:
    found, problems = AddressList.parse(lines, "list")
    assert problems == []
    return found


@pytest.mark.parametrize(
    ("entry", "address", "inside"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("192.0.2", "192.0.2.200", True),
        ("192.0.2.", "192.0.2.200", True),
        ("192.0.2", "192.0.20.1", False),
        ("10.1", "10.1.255.9", True),
        ("10.", "10.9.9.9", True),
        ("192.0.2.0/28", "192.0.2.15", True),
        ("192.0.2.0/28", "192.0.2.16", False),
        ("192.0.2.9/28", "192.0.2.1", True),
        ("0.0.0.0/0", "203.0.113.1", True),
        ("0.0.0.0/0", "2001:db8::1", False),
        ("2001:0db8::/32", "2001:db8:ffff::1", True),
        ("2001:db8::/32", "2001:db9::1", False),
        ("[2001:db8::]/32", "2001:db8::1", True),
        ("2001:db8::1", "2001:DB8:0::1", True),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("::ffff:192.0.2.0/120", "192.0.2.77", True),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
    ],
)
def test_a_client_address_is_found_in_its_network(entry: str, address: str, inside: bool) -> None:
    assert clients(entry).matches(client_of(address)) == (entry if inside else "")


@pytest.mark.parametrize(
    ("entry", "name", "inside"),
    [
        ("example.com", "example.com", True),
        ("example.com", "mail.EXAMPLE.com", True),
        ("Example.COM.", "a.b.example.com", True),
        ("example.com", "notexample.com", False),
        ("example.com", "example.com.evil.test", False),
        (".example.com", "a.example.com", True),
        (".example.com", "example.com", False),
        ("müller.example", "mx.xn--mller-kva.example", True),
        (r"/^mail\d+\.example\.com$/", "MAIL12.example.com", True),
        (r"/^mail\d+\.example\.com$/", "mail.example.com", False),
        ("/example/", "an.example.test", True),
        ("_spf.example.com", "x._spf.example.com", True),
    ],
)
def test_a_client_name_is_found_by_suffix_or_expression(entry: str, name: str, inside: bool) -> None:
    assert clients(entry).matches(client_of("192.0.2.1", name)) == (entry if inside else "")


def test_an_unverified_name_never_matches_since_a_ptr_can_be_forged() -> None:
    forged = client_of("192.0.2.1", "unknown", "mail.example.com")
    assert clients("example.com", "/./", "unknown").matches(forged) == ""


def test_a_list_says_which_entry_matched_and_where_it_stands() -> None:
    lines = ["# head", "", "192.0.2.0/24  # all of them", "192.0.2.7", "/^mx/", "example.com"]
    found, _ = ClientList.parse(lines, "/etc/list")
    narrow = found.matches(client_of("192.0.2.7"))
    assert (narrow, found.where(narrow)) == ("192.0.2.7", "/etc/list:4")
    wide = found.matches(client_of("192.0.2.8"))
    assert (wide, found.where(wide)) == ("192.0.2.0/24", "/etc/list:3")
    assert found.where("nothing") == ""
    assert len(found) == 4


def test_of_two_expressions_the_first_of_the_list_is_named() -> None:
    assert clients("/mail/", "/example/", "/mail1/").matches(client_of("192.0.2.1", "mail1.example")) == "/mail/"


def test_lists_add_up_and_the_left_one_is_found_first() -> None:
    both = ClientList.parse(["example.com"], "a")[0] + ClientList.parse(["example.com", "/x/", "192.0.2.1"], "b")[0]
    assert both.where(both.matches(client_of("192.0.2.9", "example.com"))) == "a:1"
    assert both.where(both.matches(client_of("192.0.2.9", "x.test"))) == "b:2"
    assert both.where(both.matches(client_of("192.0.2.1"))) == "b:3"


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("not a name", "a domain name"),
        ("192.0.2.256", "an address or network"),
        ("192.0.2.0/33", "an address or network"),
        ("10", "an address or network"),
        ("1.2.3.4.5", "an address or network"),
        ("2001:db8::/129", "an address or network"),
        ("fe80::1%eth0", "an address or network"),
        ("*.example.com", "a domain name"),
        ("a..example.com", "a domain name"),
        (f"{'a' * 64}.com", "a domain name"),
        ("ex\x1bample.com", "a domain name"),
        ("/unfinished", "between two slashes"),
        ("//", "between two slashes"),
        ("/(/", "RE2"),
        ("/^(?=look)ahead/", "RE2"),
        (r"/(a)\1/", "RE2"),
        ("/" + "a" * 501 + "/", "at most 500"),
        ("a" * 2000, "at most 1024"),
    ],
)
def test_a_wrong_line_is_named_and_left_out(line: str, wanted: str) -> None:
    found, problems = ClientList.parse(["example.com", line, "example.net"], "/etc/list")
    assert len(found) == 2
    assert [(problem.source, problem.line) for problem in problems] == [("/etc/list", 2)]
    assert wanted in problems[0].wanted
    said = str(problems[0])
    assert said.startswith("/etc/list:2: found ")
    assert said.isprintable()
    assert len(said) < 400


@pytest.mark.parametrize(
    ("entry", "address", "inside"),
    [
        ("user@example.com", "User@Example.com", True),
        ("user@example.com", "user+lists@example.com", True),
        ("user@example.com", "user@mail.example.com", False),
        ("user@example.com", "superuser@example.com", False),
        ("user+x@example.com", "user+x@example.com", True),
        ("user+x@example.com", "user@example.com", False),
        ("user@", "user@anywhere.test", True),
        ("user@", "user+x@anywhere.test", True),
        ("user@", "user", True),
        ("user@", "user2@anywhere.test", False),
        ("example.com", "a@example.com", True),
        ("example.com", "a@mail.example.com", True),
        ("example.com", "a@notexample.com", False),
        ("example.com", "example.com@other.test", False),
        (".example.com", "a@mail.example.com", True),
        (".example.com", "a@example.com", False),
        ("@example.com", "a@example.com", True),
        ("@example.com", "a@mail.example.com", False),
        ("müller.example", "a@xn--mller-kva.example", True),
        ("a@xn--mller-kva.example", "A@Müller.example", True),
        ("/^news.*@example\\.com$/", "NEWS-1@example.com", True),
        ("/^news.*@example\\.com$/", "old-news@example.com", False),
        ("/x=y@example.com", "/x=y@example.com", True),
        ("user@[192.0.2.1]", "user@[192.0.2.1]", True),
        ("<>", "", True),
        ("<>", "a@example.com", False),
        ("/.*/", "", False),
        ("/root/", "root", True),
    ],
)
def test_an_address_is_found(entry: str, address: str, inside: bool) -> None:
    assert addresses(entry).matches(address) == (entry if inside else "")


@pytest.mark.parametrize("line", ["a b@example.com", "user@exa mple", "@", "user@-x", "a@b@c d", "/x", "user@x..y"])
def test_a_wrong_address_is_named(line: str) -> None:
    found, problems = AddressList.parse([line], "s")
    assert len(found) == 0
    assert len(problems) == 1


def test_a_list_that_is_too_long_is_cut_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lists, "MAX_ENTRIES", 3)
    found, problems = ClientList.parse((f"a{n}.test" for n in range(100)), "s")
    assert len(found) == 3
    assert [problem.line for problem in problems] == [4]
    assert "at most 3 entries" in str(problems[0])


def test_a_file_of_garbage_gives_a_bounded_number_of_problems() -> None:
    _, problems = ClientList.parse(["? ?"] * 5000, "s")
    assert len(problems) == lists.MAX_PROBLEMS + 1
    assert problems[-1].found == "4900 more lines like these"


def test_expressions_that_are_too_large_together_are_refused() -> None:
    found, problems = ClientList.parse([f"/x{n}(abcdefgh){{900}}/" for n in range(100)], "s")
    assert 0 < len(found) < 100
    assert all("too large" in problem.wanted or "RE2" in problem.wanted for problem in problems)
    assert found.matches(client_of("192.0.2.1", "x0" + "abcdefgh" * 5)) == ""


def test_a_network_set_takes_normal_forms_only_and_counts_them() -> None:
    networks = NetworkSet(["192.0.2.0/24", "192.0.2", "2001:db8::/32", "192.0.2.1"])
    assert len(networks) == 3
    assert pack_address("192.0.2.9") in networks
    assert pack_address("192.0.3.9") not in networks
    assert b"" not in networks
    assert b"12345" not in networks
    assert networks.find(pack_address("192.0.2.1")) == "192.0.2.1/32"
    with pytest.raises(ValueError, match="an address or network"):
        NetworkSet(["nonsense"])


def test_a_network_set_is_read_from_lines_as_mynetworks_has_them() -> None:
    networks, problems = NetworkSet.parse(["127.0.0.0/8", "[::1]/128", "all"], "greylist.trusted_networks")
    assert len(networks) == 2
    assert problems == [Problem("greylist.trusted_networks", 3, '"all"', lists._WANTED_NETWORK)]


@settings(deadline=None, max_examples=100)
@given(
    st.lists(
        st.tuples(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6, network="2000::/3")), st.integers(0, 128)),
        max_size=30,
    ),
    st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6, network="2000::/3")),
)
def test_a_network_set_agrees_with_ipaddress(
    pairs: list[tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, int]],
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    networks = [
        ipaddress.ip_network(f"{base}/{min(length, base.max_prefixlen)}", strict=False) for base, length in pairs
    ]
    wanted = any(address in network for network in networks if network.version == address.version)
    assert (address.packed in NetworkSet(map(str, networks))) is wanted


ANY_TEXT = st.text(max_size=200) | st.text(alphabet="abc019.:/@+*#[](){}\\^$?-_ \t", max_size=200)


@settings(deadline=None, max_examples=300)
@given(ANY_TEXT, ANY_TEXT, ANY_TEXT)
def test_no_line_and_no_name_makes_a_list_fail(line: str, name: str, address: str) -> None:
    by_client, problems = ClientList.parse([line], "s")
    assert all(str(problem).isprintable() for problem in problems)
    assert by_client.matches(client_of("192.0.2.1", name)) in ("", line.partition("#")[0].strip())
    by_address, problems = AddressList.parse([line], "s")
    assert all(str(problem).isprintable() for problem in problems)
    assert by_address.matches(address) in ("", line.partition("#")[0].strip())


@settings(deadline=None, max_examples=200)
@given(ANY_TEXT)
def test_the_normal_form_of_a_network_is_its_own_normal_form(text: str) -> None:
    try:
        normal = parse_network(text)
    except ValueError:
        return
    assert parse_network(normal) == normal


def test_overlong_names_and_addresses_match_nothing() -> None:
    assert clients("/./", "test").matches(client_of("192.0.2.1", "a." * 500_000 + "test")) == ""
    assert addresses("/./", "test").matches("a" * 1_000_000 + "@test") == ""
    assert addresses("test").matches("a@" + "a." * 500 + "test") == ""


def test_re2_is_not_imported_for_lists_without_expressions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "re2", None)  # an import now fails
    assert clients("example.com", "192.0.2.1").matches(client_of("192.0.2.1")) == "192.0.2.1"


@pytest.mark.parametrize("name", ["postgrey_whitelist_clients", "postgrey_whitelist_clients.debian"])
def test_postgreys_shipped_client_list_loads_whole(name: str) -> None:
    lines = _corpus(name)
    found, problems = ClientList.parse(lines, name)
    assert problems == []
    assert len(found) == sum(1 for line in lines if re.sub(r"#.*", "", line).strip())
    assert found.matches(client_of("40.92.1.1", "mail-am6.outbound.protection.outlook.com")) == "outlook.com"
    assert found.matches(client_of("195.235.39.7")) == "195.235.39"
    assert found.matches(client_of("2a01:4180:4050:400::9")) == "2a01:4180:4050:0400::/64"
    assert found.matches(client_of("192.0.2.1", "smtp7.orange.fr")) == r"/^smtp\d+\.orange\.fr$/"
    assert found.matches(client_of("192.0.2.1", "mail.tizio.it")) == ""


def test_postgreys_shipped_recipient_list_loads_whole() -> None:
    found, problems = AddressList.parse(_corpus("postgrey_whitelist_recipients"), "r")
    assert problems == []
    assert found.matches("Postmaster@caio.it") == "postmaster@"
    assert found.matches("abuse+x@caio.it") == "abuse@"
    assert found.matches("caio@caio.it") == ""


def _corpus(name: str) -> list[str]:
    if not (CORPUS / name).exists():
        pytest.skip(f"no corpus {name}: set VAGLIO_DATA to the folder of the test corpora")
    return (CORPUS / name).read_text("utf-8").splitlines()
