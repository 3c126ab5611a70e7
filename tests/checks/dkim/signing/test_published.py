"""A key and its record in the DNS: what fits, and what each way to get it wrong is called."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from tests.checks.dkim.samples import NAME, ed25519, record, rsa
from vaglio.checks.dkim.signing.make import new_key
from vaglio.checks.dkim.signing.published import Finding, Published, compare, gone, judge
from vaglio.checks.dkim.signing.record import record_name, record_text, revoked_text, zone_lines
from vaglio.checks.dkim.signing.sign import PrivateKey, private_key
from vaglio.checks.dkim.signing.survey import RESOLVER, Survey, View, survey
from vaglio.dns.zonefile import Zone, ZoneResolver, parse_lines
from vaglio.ports import NODATA, NXDOMAIN, TEMPERROR, Answer, Outcome

RSA, OTHER = rsa(), rsa(2048)
GOOD = record(RSA)


def txt(*values: str) -> Answer:
    return Answer(Outcome.OK, values)


def found(*values: str, key: PrivateKey = RSA) -> Published:
    return judge(txt(*values), NAME, key)


# --- one answer ---


def test_what_is_printed_for_a_key_is_what_fits() -> None:
    for key in (RSA, OTHER, ed25519(), private_key(new_key("rsa")), private_key(new_key("ed25519"))):
        assert found(record_text(key), key=key) == (Finding.MATCHES, "the record has the key that signs", "")
        assert found(record_text(key), key=key).fits


def test_a_zone_file_has_it_in_strings_that_are_read_as_one() -> None:
    key = rsa(4096)
    lines = zone_lines(NAME, record_text(key))
    strings = [line.strip().strip('"') for line in lines.splitlines()[1:-1]]
    assert [len(string) for string in strings] == [255, 255, len(record_text(key)) - 510]
    assert found("".join(strings), key=key).fits
    assert zone_lines("a.b", "v=DKIM1; p=") == 'a.b. IN TXT "v=DKIM1; p="'


def test_a_record_is_judged_as_verifiers_do_whatever_its_form() -> None:
    public = RSA.public
    for text in (f"p={public}", f"v=DKIM1;p={public};", f"k=rsa ; p= {public[:50]} {public[50:]} ;n=mail"):
        assert found(text).fits
    assert found("v=spf1 -all", GOOD).fits
    assert found(record(RSA, "t=s; ")).note.startswith("t=s: ")


@pytest.mark.parametrize(
    ("values", "finding", "words"),
    [
        ([record(OTHER)], Finding.DIFFERS, "another key than the one that signs"),
        ([record(RSA, "t=y; ")], Finding.TESTING, "t=y, a test"),
        (["v=DKIM1; k=rsa; p="], Finding.REVOKED, "p= of the record is empty"),
        ([record(RSA, "h=sha1; ")], Finding.NOT_FOR_THIS, "is not for SHA-256 (h=sha1)"),
        ([record(RSA, "s=other; ")], Finding.NOT_FOR_THIS, "is not for mail (s=other)"),
        ([GOOD.replace(";", "\\;")], Finding.ESCAPED, 'a backslash before each ";"'),
        ([GOOD[:100] + '" "' + GOOD[100:]], Finding.QUOTED, "quotation marks within the record"),
        ([f'"{GOOD}"'], Finding.QUOTED, "quotation marks within the record"),
        ([f'\\"{GOOD}\\"'], Finding.QUOTED, "quotation marks and backslashes"),
        ([GOOD[:100], GOOD[100:]], Finding.IN_PIECES, "spread over 2 TXT records: it must be one record"),
        ([GOOD[100:150], GOOD[150:], GOOD[:100]], Finding.IN_PIECES, "spread over 3 TXT records"),
        ([GOOD[:120]], Finding.CUT, f"p= ends after {120 - 18} of {len(RSA.public)} characters"),
        (["v=DKIM1"], Finding.CUT, 'ends after "v=DKIM1": in a zone file'),
        ([GOOD, record(OTHER)], Finding.SEVERAL, "there are 2 TXT records"),
        (["v=spf1 -all"], Finding.NO_KEY, 'no key: it is "v=spf1 -all"'),
        (["v=DKIM1; k=rsa; p=!!!!"], Finding.UNREADABLE, "p= of the key at"),
        (["v=DKIM1; k=ed25519; p=" + RSA.public], Finding.NO_KIND, "k=ed25519: the key needs k=rsa"),
        ([record(ed25519())], Finding.NOT_FOR_THIS, "is for ed25519, the signature is rsa-sha256"),
    ],
)
def test_what_is_wrong_with_a_record_is_named(values: list[str], finding: Finding, words: str) -> None:
    one = found(*values)
    assert (one.finding, one.fits, one.temporary) == (finding, False, False)
    assert words in one.words


def test_an_ed25519_key_needs_its_kind() -> None:
    key = ed25519()
    one = found(f"v=DKIM1; p={key.public}", key=key)
    assert (one.finding, one.words) == (Finding.NO_KIND,
                                        "the record has no k=, which means RSA: the key needs k=ed25519")  # fmt: skip


def test_what_is_not_there_and_what_is_not_told() -> None:
    for answer in (NXDOMAIN, NODATA):
        assert judge(answer, NAME, RSA) == (Finding.MISSING, "there is no TXT record", "")
    one = judge(Answer(Outcome.TEMPERROR, why="timeout"), NAME, RSA)
    assert (one.fits, one.temporary, one.words) == (False, True, "the DNS did not tell (timeout)")


@pytest.mark.parametrize(
    ("answer", "is_gone"),
    [
        (NXDOMAIN, True),
        (NODATA, True),
        (txt("v=DKIM1; k=rsa; p="), True),
        (txt("v=DKIM1; k=rsa; p=", "v=spf1 -all"), True),
        (txt(GOOD), False),
        (txt(GOOD, "v=DKIM1; p="), False),
        (txt("v=DKIM1; p=!!"), False),
    ],
)
def test_a_key_is_gone_when_its_record_is_empty_or_is_not_there(answer: Answer, is_gone: bool) -> None:
    assert gone(answer, NAME).fits == is_gone


def test_where_the_text_is_no_key_that_is_said() -> None:
    assert gone(Answer(Outcome.OK, ("v=spf1 -all",)), NAME).words == (
        'there is no key any more: the TXT record is none ("v=spf1 -all")'
    )
    assert gone(Answer(Outcome.OK, ("v=DKIM1; p=",)), NAME).words == "the record has an empty p="


def test_a_key_is_not_gone_while_the_dns_does_not_tell() -> None:
    assert gone(TEMPERROR, NAME).temporary
    assert revoked_text("ed25519-sha256") == revoked_text("ed25519") == "v=DKIM1; k=ed25519; p="


# --- around the record ---


def resolver(lines: str) -> ZoneResolver:
    return ZoneResolver(Zone(parse_lines(lines)))


def compared(lines: str) -> Published:
    return asyncio.run(compare("tizio.it", "uno", RSA, resolver(lines)))


def test_a_record_is_compared_as_the_resolver_has_it() -> None:
    assert record_name("tizio.it", "uno") == NAME
    assert compared(f'{NAME} TXT "{GOOD}"').fits
    assert compared(f'{NAME} CNAME key.caio.it\nkey.caio.it TXT "{GOOD}"').fits
    assert compared(f"{NAME} TXT TIMEOUT").temporary
    assert compared("").finding is Finding.MISSING


def test_an_alias_that_leads_elsewhere_is_named() -> None:
    one = compared(f"{NAME} CNAME key.caio.it")
    assert (one.finding, one.words) == (Finding.MISSING,
                                        "there is no TXT record; it is an alias (CNAME) of key.caio.it")  # fmt: skip


def test_a_domain_that_stands_there_twice_is_found() -> None:
    one = compared(f'{NAME}.tizio.it TXT "{GOOD}"')
    assert one.finding is Finding.MISSING
    assert one.words.startswith(f"the record is at {NAME}.tizio.it: ")


# --- all name servers ---

SERVERS = """
tizio.it NS ns1.tizio.it
tizio.it NS ns2.tizio.it
tizio.it SOA ns1.tizio.it admin.tizio.it 1 3600 900 86400 300
ns1.tizio.it A 192.0.2.1
ns2.tizio.it A 192.0.2.2
caio.it NS ns.caio.it
ns.caio.it A 192.0.2.3
"""
HERE = f'{NAME} TXT "{GOOD}"\n'


def surveyed(own: str, at: Mapping[str, str], servers: str = SERVERS) -> Survey:
    return asyncio.run(survey(NAME, lambda answer: judge(answer, NAME, RSA), resolver(servers + own),
                              lambda address: resolver(at[address])))  # fmt: skip


def named(views: tuple[View, ...]) -> list[tuple[str, str]]:
    return [(view.server, view.found.finding.value) for view in views]


def test_a_record_is_seen_everywhere() -> None:
    one = surveyed(HERE, {"192.0.2.1": HERE, "192.0.2.2": HERE})
    assert named(one.views) == [(RESOLVER, "matches"), ("ns1.tizio.it", "matches"), ("ns2.tizio.it", "matches")]
    assert (one.zone, one.lacking(), one.is_stale, one.trouble, one.negative_ttl) == ("tizio.it", (), False, "", 300)


def test_a_server_that_lags_behind_is_named() -> None:
    one = surveyed(HERE, {"192.0.2.1": HERE, "192.0.2.2": ""})
    assert named(one.lacking()) == [("ns2.tizio.it", "missing")]
    assert not one.is_stale
    assert one.lacking(["ns2.tizio.it"]) == one.lacking(["192.0.2.2"]) == ()


def test_an_old_answer_of_the_resolver_is_told_from_one_of_the_zone() -> None:
    one = surveyed("", {"192.0.2.1": HERE, "192.0.2.2": HERE})
    assert named(one.lacking()) == [(RESOLVER, "missing")]
    assert one.is_stale
    assert not surveyed("", {"192.0.2.1": "", "192.0.2.2": ""}).is_stale


def test_an_address_that_can_not_be_reached_does_not_count_if_another_one_of_the_server_can() -> None:
    servers = SERVERS + "ns2.tizio.it AAAA 2001:db8::2\n"
    dead = f"{NAME} * TIMEOUT"
    assert surveyed(HERE, {"192.0.2.1": HERE, "192.0.2.2": HERE, "2001:db8::2": dead}, servers).lacking() == ()
    one = surveyed(HERE, {"192.0.2.1": HERE, "192.0.2.2": dead, "2001:db8::2": dead}, servers)
    assert named(one.lacking()) == [("ns2.tizio.it", "dns-failed")] * 2
    one = surveyed(HERE, {"192.0.2.1": HERE, "192.0.2.2": HERE, "2001:db8::2": ""}, servers)
    assert named(one.lacking()) == [("ns2.tizio.it", "missing")]


def test_a_server_without_an_address_is_one_that_does_not_tell() -> None:
    servers = SERVERS.replace("ns2.tizio.it A 192.0.2.2\n", "")
    assert named(surveyed(HERE, {"192.0.2.1": HERE}, servers).lacking()) == [("ns2.tizio.it", "dns-failed")]


def test_aliases_are_followed_to_the_servers_of_the_other_zone() -> None:
    alias = f"{NAME} CNAME tizio.caio.it\ncaio.it * SERVFAIL\ntizio.caio.it * SERVFAIL\n"
    there = f'tizio.caio.it TXT "{GOOD}"'
    own = f"{NAME} CNAME tizio.caio.it\n{there}"
    one = surveyed(own, {"192.0.2.1": alias, "192.0.2.2": alias, "192.0.2.3": there})
    assert named(one.views) == [(RESOLVER, "matches"), ("ns.caio.it", "matches")]
    assert one.aliases == ("tizio.caio.it",)
    one = surveyed(own, {"192.0.2.1": alias, "192.0.2.2": "", "192.0.2.3": ""})
    assert named(one.lacking()) == [("ns2.tizio.it", "missing"), ("ns.caio.it", "missing")]


def test_aliases_may_go_round() -> None:
    alias = f"{NAME} CNAME due.tizio.it\ndue.tizio.it CNAME {NAME}\n"
    assert surveyed(alias, {"192.0.2.1": alias, "192.0.2.2": alias}).aliases == ("due.tizio.it", NAME)
    many = f"{NAME} CNAME a0.tizio.it\n" + "".join(f"a{n}.tizio.it CNAME a{n + 1}.tizio.it\n" for n in range(20))
    assert "too many aliases" in surveyed(many, {"192.0.2.1": many, "192.0.2.2": many}).trouble


@pytest.mark.parametrize(
    ("servers", "words"),
    [
        ("", f"there are no name servers for {NAME}"),
        ("tizio.it * SERVFAIL", "did not tell the name servers of tizio.it (servfail)"),
    ],
)
def test_a_zone_whose_servers_are_not_known(servers: str, words: str) -> None:
    one = surveyed(HERE, {}, f"{servers}\n")
    assert words in one.trouble
    assert named(one.views) == [(RESOLVER, "matches")]
