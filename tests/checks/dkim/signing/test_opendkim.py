"""The configuration of opendkim and dkimpy-milter, said in ours."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaglio.checks.dkim.signing import opendkim
from vaglio.checks.dkim.signing.opendkim import Imported, Option, SingleKey, convert, parse

FILES = {
    "/etc/opendkim/hosts": "127.0.0.1\nlocalhost\n192.168.1.0/24  # the office\n\nhost.tizio.it\n",
    "/etc/opendkim/more.conf": "Mode s\n",
    "/loop": "Include /loop",
}


def read(path: str) -> str:
    if path not in FILES:
        raise ValueError(f"{path}: No such file or directory")
    return FILES[path]


def imported(text: str) -> Imported:
    return convert(parse(text, read), read)


def signing(text: str) -> dict[str, object]:
    return dict(imported(text).settings.get("dkim.sign", {}))


def whys(text: str) -> dict[str, str]:
    return {one.name: one.why for one in imported(text).unmapped}


def test_lines_are_names_and_values_and_comments() -> None:
    assert parse("# all\n\nDomain\t tizio.it  # ours\n  Mode sv\nInclude /etc/opendkim/more.conf", read) == [
        Option("Domain", "tizio.it"), Option("Mode", "sv"), Option("Mode", "s"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "words"),
    [("Mode s\nDomain", "line 2: found 'Domain' without a value"), ("Include /loop", "files include each other"),
     ("Include /nowhere", "/nowhere: No such file")],
)  # fmt: skip
def test_what_can_not_be_read_is_said(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse(text, read)


def test_a_single_key() -> None:
    one = imported("Domain tizio.it, Bücher.de\nSelector 2020\nKeyFile keys/a.private\nBaseDirectory /etc/dkimkeys")
    assert one.keys == (SingleKey("tizio.it", "2020", "/etc/dkimkeys/keys/a.private"),
                        SingleKey("xn--bcher-kva.de", "2020", "/etc/dkimkeys/keys/a.private"))  # fmt: skip
    assert one.settings == {"dkim.sign": {"subdomains": False, "login_mismatch": "sign"}}
    assert one.unmapped == ()


def test_both_keys_of_dkimpy_milter() -> None:
    one = imported("Domain tizio.it\nSelector r\nKeyFile /r.key\nSelectorEd25519 e\nKeyFileEd25519 /e.key\n"
                   "Subdomains yes")  # fmt: skip
    assert one.keys == (SingleKey("tizio.it", "r", "/r.key"), SingleKey("tizio.it", "e", "/e.key"))
    assert one.settings["dkim.sign"] == {"subdomains": True, "login_mismatch": "sign"}


def test_tables_are_read_where_they_are() -> None:
    one = imported("KeyTable /etc/opendkim/KeyTable\nSigningTable refile:/etc/opendkim/SigningTable\n"
                   "Domain tizio.it\nMultipleSignatures yes\nKeyTableEd25519 /x")  # fmt: skip
    assert one.settings["dkim.sign"] == {
        "key_table": "/etc/opendkim/KeyTable", "signing_table": "refile:/etc/opendkim/SigningTable",
        "all_matches": True, "login_mismatch": "sign",
    }  # fmt: skip
    assert one.keys == ()
    assert [(row.name, row.why[:30]) for row in one.unmapped] == [
        ("Domain", "it says nothing beside a KeyTa"), ("KeyTableEd25519", "there is one key table: put it"),
    ]  # fmt: skip
    alone = imported("SigningTable /s\nKeyTable lua:/k")
    assert (alone.settings["dkim.sign"], [row.name for row in alone.unmapped]) == ({}, ["KeyTable", "signing_table"])
    assert whys("KeyTable dsn:pgsql://x")["KeyTable"] == "only files are read, not dsn:"


def test_half_a_key_is_told() -> None:
    assert whys("Domain tizio.it")["Domain"] == "without selector and keyfile no mail is signed"


def test_whose_mail_is_signed() -> None:
    text = "InternalHosts refile:/etc/opendkim/hosts\nMTA MSA\nMacroList {daemon_name}|ORIGINATING|MSA, {auth_type}"
    assert signing(text) == {"networks": ["127.0.0.1/32", "192.168.1.0/24"], "daemon_names": ["MSA", "ORIGINATING"]}
    assert "host.tizio.it: networks has addresses only" in whys(text)["InternalHosts"]
    assert signing("InternalHosts [2001:db8::1], 10.1.2.3/8") == {"networks": ["2001:db8::1/128", "10.0.0.0/8"]}
    assert whys("InternalHosts /nowhere")["InternalHosts"] == "/nowhere: No such file or directory"
    assert "client_name" in whys("MacroList client_name|x")["MacroList"]


def test_whose_is_not() -> None:
    text = "DontSignMailTo *@caio.it, list@tizio.it\nExemptDomains sempronio.it, .aulo.it"
    assert signing(text) == {"exempt_recipients": ["@caio.it", "list@tizio.it"],
                             "exempt_domains": ["@sempronio.it", ".aulo.it"]}  # fmt: skip


def test_how_it_is_signed() -> None:
    text = "Canonicalization relaxed\nSignatureTTL 604800\nRemoveOldSignatures 1\nSenderHeaders From"
    assert signing(text) == {"header_form": "relaxed", "body_form": "simple", "valid": "604800s",
                             "remove_signatures": True}  # fmt: skip
    assert whys("Canonicalization nofws")["Canonicalization"] == "wanted simple or relaxed"
    assert signing("SignatureTTL 99999999999") == {"valid": "31536000s"}
    assert whys("SenderHeaders Sender,From")["SenderHeaders"] == "only From names an author"
    for name in ("SignatureTTL", "DNSTimeout", "ClockDrift", "MinimumKeyBits", "MaximumSignaturesToVerify"):
        assert whys(f"{name} week") == {name: "found 'week', wanted a whole number"}


def test_which_fields() -> None:
    assert signing("OversignHeaders From,X-Mine\nSignHeaders *,+X-Foo,-Sender,-Autocrypt") == {
        "oversign": ["+X-Mine"], "sign_headers": ["+X-Foo", "-Sender", "-Autocrypt"],
    }  # fmt: skip
    assert signing("SignHeaders From,To,X-Foo") == {"sign_headers": ["+X-Foo"]}
    assert signing("OmitHeaders *,+Subject,X-Never-Signed") == {"sign_headers": ["-Subject"]}
    assert "Received" in whys("OversignHeaders Received")["OversignHeaders"]
    assert "From is always signed" in whys("OmitHeaders From")["OmitHeaders"]


def test_what_is_verified() -> None:
    one = imported("On-BadSignature tempfail\nOn-Default reject\nOn-NoSignature a\nOn-DNSError reject\n"
                   "MinimumKeyBits 512\nMaximumSignaturesToVerify 3\nClockDrift 60\nOn-InternalError t\n"
                   "AuthservID mx.tizio.it\nNameservers 127.0.0.1,::1\nDNSTimeout 7")  # fmt: skip
    assert one.settings == {
        "dkim.verify.policies": {"fail": "defer", "permerror": "reject", "temperror": "defer", "none": "accept"},
        "dkim.verify": {"min_key_bits": 1024, "max_signatures": 3, "clock_slack": "60s", "on_error": "defer"},
        "identity": {"authserv_id": "mx.tizio.it"},
        "dns": {"servers": ["127.0.0.1", "::1"], "timeout": "7s"},
    }
    assert whys("On-BadSignature discard")["On-BadSignature"].endswith("never thrown away")
    assert whys("DNSTimeout 0")["DNSTimeout"] == "the time limit of [dns] stays as it is"
    assert "on_error in [dkim.sign]" in whys("On-SignatureError reject")["On-SignatureError"]


def test_every_line_is_taken_over_or_named() -> None:
    text = "Syslog yes\nUserID opendkim\nBodyLengthDB refile:/x\nSocket local:/x\nFoo bar\nAuthservID HOSTNAME"
    assert list(whys(text)) == ["Syslog", "UserID", "BodyLengthDB", "Socket", "Foo", "AuthservID"]
    assert whys(text)["Foo"] == "there is no counterpart"
    assert "l= is never signed" in whys(text)["BodyLengthDB"]


NAMES = st.sampled_from(sorted(opendkim._TAKERS)) | st.text(max_size=8)
ODD = ["*,+x,-from", "refile:/etc/opendkim/hosts", "csl:a,b", "!::1", "0", "-"]
VALUES = st.text(max_size=20) | st.sampled_from(ODD)


@given(st.lists(st.tuples(NAMES, VALUES), max_size=6))
def test_whatever_stands_there_is_taken_over_or_named(lines: list[tuple[str, str]]) -> None:
    one = convert([Option(name, value) for name, value in lines], read)
    assert len(one.unmapped) <= len(lines)
    text = "\n".join(f"{name} {value}" for name, value in lines)
    with suppress(ValueError):
        imported(text)


def test_what_is_otherwise_here_is_noted() -> None:
    notes = imported("Mode s").notes
    assert "Mode s: vaglio-dkim-sign does that here" in notes
    assert any("hold 7 days" in note for note in notes)
    assert not any("login" in note for note in notes)


def test_that_logins_are_not_held_against_authors_stays_so_and_is_noted() -> None:
    for text in ("Domain tizio.it\nSelector a\nKeyFile /a", "KeyTable /k\nSigningTable /s"):
        one = imported(text)
        assert one.settings["dkim.sign"]["login_mismatch"] == "sign"
        for words in ('login_mismatch = "sign" keeps it so', "several From fields", "ORIGINATING"):
            assert any(words in note for note in one.notes), words
    assert not any("ORIGINATING" in note for note in imported(f"{text}\nMTA MSA").notes)


def test_who_only_verifies_signs_nothing_here_either() -> None:
    text = "Domain tizio.it\nSelector a\nKeyFile /a\nInternalHosts 192.0.2.1"
    one = imported(f"Mode v\nClockDrift 60\n{text}")
    assert (one.keys, one.settings) == ((), {"dkim.verify": {"clock_slack": "60s"}})
    assert one.notes == ("Mode v: vaglio-dkim-verify does that here",
                         "it signs nothing (Mode): what it says of keys and signing is left out")  # fmt: skip
    assert whys("Mode x")["Mode"] == "wanted s, v or both"


def test_what_our_configuration_would_refuse_is_named_and_not_taken_over() -> None:
    def refused(section: str, settings: object) -> str:
        return f"better {section}" if "bad" in str(settings) else ""

    text = "KeyTable /bad\nMTA good,bad,best\nDomain bad.it,good.it\nSelector a\nKeyFile /a"
    one = convert(parse(text, read), read, refused)
    assert one.settings["dkim.sign"] == {"daemon_names": ["good", "best"]}
    assert {row.name: row.why for row in one.unmapped} == {
        "KeyTable": "key_table in [dkim.sign] takes no such value: wanted better dkim.sign",
        "MTA": "bad: wanted better dkim.sign (daemon_names in [dkim.sign])",
        **dict.fromkeys(("Domain", "Selector", "KeyFile"), "it says nothing beside a KeyTable"),
    }
    one = convert(parse(text.replace("KeyTable /bad\n", ""), read), read, refused)
    assert [key.domain for key in one.keys] == ["good.it"]
    assert [row.why for row in one.unmapped][-1] == (
        "no key for it, by selector a and file /a: wanted better dkim.sign"
    )
