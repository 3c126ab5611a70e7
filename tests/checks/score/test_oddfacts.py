"""Each fact is told by a message that has it, and by one like it that has not."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.checks.score.growth import in_proportion
from vaglio.checks.score.hops import hop_of, hops_of, is_public, seconds_of
from vaglio.checks.score.oddfacts import FACTS, MAX_DETAIL, Circumstances, facts_of
from vaglio.checks.score.reading import read_message
from vaglio.checks.score.seen import LIKE, has_like
from vaglio.facts import Envelope, Session, Stage, client_of
from vaglio.milter.replay import read
from vaglio.verdict import AuthResult

WHEN = "Mon, 21 Sep 2026 13:33:20 +0000"
NOW = 1_790_000_000.0  # 21 September 2026
GOOD = {
    "Received": "from mx.tizio.it (mx.tizio.it [198.51.100.7])\n\tby mail.caio.it (Postfix) with ESMTPS id 4XyZ1a2b3c\n"
    "\tfor <caia@caio.it>; Mon, 21 Sep 2026 13:33:20 +0000 (UTC)",
    "Message-ID": "<87abc.fsf@tizio.it>",
    "Date": "Mon, 21 Sep 2026 15:33:10 +0200",
    "From": "Tizio Rossi <tizio@tizio.it>",
    "To": "Caia <caia@caio.it>",
    "Subject": "La riunione di domani",
    "MIME-Version": "1.0",
    "Content-Type": "text/plain; charset=utf-8",
}
TEXT = "Cara Caia, ci vediamo domani alle dieci come d'accordo, porto io i disegni.\nA presto, Tizio\n"
IN_A_FILE = Circumstances(client_of(""), Envelope("", ""), Session(Stage.END_OF_MESSAGE))
HTML = {"Content-Type": "text/html; charset=utf-8"}
FROM_HOST = Circumstances(
    client_of("198.51.100.7", "mx.tizio.it", "mx.tizio.it"),
    Envelope("tizio@tizio.it", "caia@caio.it"),
    Session(Stage.END_OF_MESSAGE, helo="mx.tizio.it"),
    ("caia@caio.it",),
    NOW,
    "mx.caio.it",
)


def facts(
    changes: Mapping[str, str | None] | None = None,
    text: str = TEXT,
    about: Circumstances = IN_A_FILE,
    before: str = "",
) -> dict[str, str]:
    """Return the facts of the good message with other fields; None takes one out, ``before`` stands above all."""
    fields = {**GOOD, **(changes or {})}
    header = "".join(f"{name}: {value}\n" for name, value in fields.items() if value is not None)
    headers, body = read(f"{before}{header}\n{text}".encode("utf-8", "surrogateescape"))
    return facts_of(read_message(headers, body, len(body)), about)


def from_host(address: str = "198.51.100.7", name: str = "mx.tizio.it", helo: str = "mx.tizio.it") -> Circumstances:
    client = client_of(address, name, name)
    return FROM_HOST._replace(client=client, session=FROM_HOST.session._replace(helo=helo))


def test_good_mail_has_no_facts() -> None:
    assert facts() == {}
    assert facts(about=FROM_HOST) == {}


@pytest.mark.parametrize(
    ("fact", "changes"),
    [
        ("no-subject", {"Subject": None}),
        ("no-subject", {"Subject": "  "}),
        ("subject-capitals", {"Subject": "LA RIUNIONE DI DOMANI"}),
        ("subject-encoded", {"Subject": "=?utf-8?B?TGEgcml1bmlvbmU=?="}),
        ("subject-raw", {"Subject": "La riunione \udce8 domani"}),
        ("subject-disguised", {"Subject": "Compra V I A G R A qui"}),
        ("subject-disguised", {"Subject": "\U0001d400\U0001d401\U0001d402 offerta"}),
        ("subject-tail", {"Subject": "La riunione           4711xy"}),
        ("subject-reply", {"Subject": "Re: La riunione"}),
        ("subject-recipient", {"Subject": "Caia, un'offerta"}),
        ("mixed-scripts", {"Subject": "Il tuo P\u0430yPal"}),
        ("mixed-scripts", {"From": "=?utf-8?B?UNCweVBhbA==?= <a@tizio.it>"}),
        ("from-missing", {"From": None}),
        ("from-missing", {"From": "Tizio"}),
        ("from-name-address", {"From": '"assistenza@poste.it" <x@tizio.it>'}),
        ("from-brand", {"From": '"Poste Italiane" <x@tizio.it>'}),
        ("from-free", {"From": "Tizio <tizio@libero.it>"}),
        ("from-digits", {"From": "Tizio <tizio8812@tizio.it>"}),
        ("from-nameless", {"From": "tizio@tizio.it"}),
        ("from-null-domain", {"From": "Tizio <tizio@tizio>"}),
        ("from-own-domain", {"From": "Capo <capo@caio.it>"}),
        ("from-is-to", {"From": "Caia <caia@caio.it>"}),
        ("reply-to-other", {"Reply-To": "altro@sempronio.it"}),
        ("reply-to-free", {"Reply-To": "tizio.vero@gmail.com"}),
        ("sender-other", {"Return-Path": "<x@sempronio.it>"}),
        ("date-missing", {"Date": None}),
        ("date-odd", {"Date": "ieri"}),
        ("date-odd", {"Date": "Mon, 21 Sep 2026 15:33:10 +2900"}),
        ("date-odd", {"Date": "Mon, 21 Sep 2026 15:33:10"}),
        ("date-past", {"Date": "Mon, 21 Sep 2020 15:33:10 +0200"}),
        ("date-future", {"Date": "Tue, 22 Sep 2026 15:33:10 +0200"}),
        ("message-id-missing", {"Message-ID": None}),
        ("message-id-missing", {"Message-ID": "<20260921.4XyZ1a2b3c@mail.caio.it>"}),
        ("message-id-odd", {"Message-ID": "<senza chiocciola>"}),
        ("message-id-bare", {"Message-ID": "<12@pc-tizio>"}),
        ("to-missing", {"To": None}),
        ("to-undisclosed", {"To": "undisclosed-recipients:;"}),
        ("to-many", {"To": ", ".join(f"caia{number}@caio.it" for number in range(6))}),
        ("priority", {"X-Priority": "1 (Highest)"}),
        ("mailer-forged", {"X-Mailer": "Microsoft Outlook Express 6.00.2600.0000"}),
        ("mailer-forged", {"Message-ID": "<008c61d64eed$6184e5d5$4bc22de3@tizio.it>"}),
        ("bulk", {"Precedence": "bulk"}),
        ("list", {"List-Id": "Disegni <disegni.tizio.it>", "List-Post": "<mailto:disegni@tizio.it>"}),
        ("unsubscribe", {"List-Unsubscribe": "<mailto:via@tizio.it>"}),
        ("bounce", {"Content-Type": "multipart/report; report-type=delivery-status; boundary=b"}),
        ("mime-bad-charset", {"Content-Type": "text/plain; charset=nessuno-9"}),
    ],
)  # fmt: skip
def test_the_header_tells(fact: str, changes: dict[str, str | None]) -> None:
    assert fact in facts(changes)


@pytest.mark.parametrize(
    ("fact", "changes"),
    [
        ("subject-capitals", {"Subject": "RIUNIONE"}),
        ("subject-encoded", {"Subject": "=?utf-8?Q?La_riunione_=C3=A8_domani?="}),
        ("subject-raw", {"Subject": "La riunione \u00e8 domani"}),
        ("subject-tail", {"Subject": "La riunione\n      domani"}),
        ("subject-reply", {"Subject": "Re: La riunione", "In-Reply-To": "<1@caio.it>"}),
        ("subject-recipient", {"Subject": "Scaiata di fiori"}),
        ("mixed-scripts", {"Subject": "\u041f\u0440\u0438\u0432\u0435\u0442 Tizio, 5 \u03bcm"}),
        ("from-name-address", {"From": '"tizio@posta.tizio.it" <tizio@tizio.it>'}),
        ("from-brand", {"From": '"Poste Italiane" <info@posteitaliane.it>'}),
        ("from-brand", {"From": '"Pineapple Travel" <info@tizio.it>'}),
        ("reply-to-other", {"Reply-To": "tizio@posta.tizio.it"}),
        ("date-odd", {"Date": "21 Sep 2026 13:33 GMT"}),
        ("date-past", {"Date": "Mon, 14 Sep 2026 15:33:10 +0200"}),
        ("mailer-forged", {"X-Mailer": "Microsoft Outlook 16.0", "Message-ID": "<AB1@ab1.eurprd01.example>"}),
        ("mailer-forged", {"Message-ID": "<008801dad7e1$00327280$00975780$@tizio.it>"}),
        ("from-several", {"From": "Tizio <tizio@tizio.it>, Caia <caia@caio.it>"}),
    ],
)  # fmt: skip
def test_the_header_tells_no_more_than_there_is(fact: str, changes: dict[str, str | None]) -> None:
    assert fact not in facts(changes)


def test_fields_that_may_be_there_once() -> None:
    found = facts(before="From: altro@sempronio.it\nDate: Mon, 21 Sep 2026 15:33:10 +0200\n")
    assert "from-several" in found
    assert found["fields-doubled"] == "from"


def test_what_a_mail_server_on_the_way_put_in_was_missing() -> None:
    above = "Date: Mon, 21 Sep 2026 13:33:20 +0000\nMessage-ID: <9@mail.caio.it>\n"
    found = facts({"Date": None, "Message-ID": None}, before=above)
    assert {"date-missing", "message-id-missing"} <= found.keys()


@pytest.mark.parametrize(
    ("fact", "about"),
    [
        ("client-nameless", from_host(name="")),
        ("client-generic", from_host(name="198-51-100-7.adsl.example.net")),
        ("helo-address", from_host(helo="[198.51.100.7]")),
        ("helo-bare", from_host(helo="friend")),
        ("helo-ours", from_host(helo="mx.caio.it")),
        ("helo-ours", from_host(helo="caio.it")),
        ("helo-other", from_host(helo="mx.sempronio.it")),
        ("null-sender", FROM_HOST._replace(envelope=Envelope("", "caia@caio.it"))),
    ],
)
def test_the_client_tells(fact: str, about: Circumstances) -> None:
    assert fact in facts(about=about)


@pytest.mark.parametrize("address", ["", "127.0.0.1", "192.168.3.1", "fd00::1"])
def test_behind_a_gateway_the_newest_host_of_the_internet_counts(address: str) -> None:
    received = f"from friend (unknown [203.0.113.9]) by mail.caio.it (Postfix) with SMTP id 1; {WHEN}"
    found = facts({"Received": received}, about=from_host(address=address, name="", helo="gw"))
    assert (found["client-nameless"], found["helo-bare"]) == ("203.0.113.9", "friend")


def test_no_mail_server_on_the_way() -> None:
    assert "no-received" in facts({"Received": None}, about=FROM_HOST)
    assert "no-received" not in facts({"Received": None})


@pytest.mark.parametrize(
    ("fact", "received"),
    [
        ("received-provider", "from yahoo.com (dsl-9.example.net [203.0.113.9]) by x.it with SMTP; "),
        ("received-provider", "from mail.gmail.com (unknown [203.0.113.9]) by x.it with SMTP; "),
        ("received-forged", "from a.it (a.it [255.1.2.3]) by x.it with SMTP; "),
        ("received-forged", "from a.it (a.it [203.0.113.9]) by mx.caio.it with SMTP; "),
    ],
)
def test_forged_received_fields(fact: str, received: str) -> None:
    assert fact in facts({"Received": f"{received}{WHEN}"}, about=FROM_HOST)


@pytest.mark.parametrize("changes", [{"From": "Caio <caio@caio.it>"}, {"List-Id": "<disegni.tizio.it>"}])
def test_what_we_sent_may_come_back(changes: dict[str, str | None]) -> None:
    received = "from a.it (a.it [203.0.113.9]) by mx.caio.it with SMTP id 1; Mon, 21 Sep 2026 13:33:20 +0000"
    assert "received-forged" not in facts({"Received": received, **changes}, about=FROM_HOST)


def test_dates_that_run_backwards() -> None:
    above = "Received: from b.it (b.it [203.0.113.9]) by x.it with SMTP; Mon, 21 Sep 2026 03:33:20 +0000\n"
    assert "received-order" in facts(before=above)


def test_true_hosts_of_a_provider() -> None:
    received = f"from mail-qk1-f1.google.com (mail-qk1-f1.google.com [203.0.113.9]) by x.it; {WHEN}"
    assert "received-provider" not in facts({"Received": received})


def test_a_conversation() -> None:
    assert "conversation" in facts({"In-Reply-To": "<1@caio.it>"}, "> ci vediamo?\nCerto.\n")
    assert "conversation" not in facts(text="> ci vediamo?\nCerto.\n")


REPORT = {"Content-Type": 'multipart/report; report-type=delivery-status; boundary="b"'}


@pytest.mark.parametrize("kind", ["text/rfc822-headers", "message/rfc822"])
@pytest.mark.parametrize(
    ("header", "foreign"),
    [
        ("Message-ID: <1@caio.it>", False),
        ("Message-ID: <1@posta.caio.it>", False),
        ("Received: from [192.168.1.9] by out.caio.it (Postfix); x\nMessage-ID: <1@pc>", False),
        ("Message-ID: <1@altrui.it>", True),
        ("Received: from a.it by b.altrui.it; x\nSubject: by caio", True),
    ],
)
def test_a_bounce_of_a_message_that_we_never_sent(header: str, foreign: bool, kind: str) -> None:
    text = f"--b\n\nNon consegnato\n--b\nContent-Type: {kind}\n\n{header}\n\nby caio.it\n--b--\n"
    assert ("bounce-foreign" in facts(REPORT, text, FROM_HOST)) is foreign


LONG = "<p>Una pagina con abbastanza testo perche' qualcuno la legga davvero, e non solo due parole in croce.</p>" * 3


@pytest.mark.parametrize(
    ("fact", "changes", "text"),
    [
        ("empty-body", {}, "\n \n"),
        ("image-only", HTML, '<a href="http://x.it/"><img src="http://x.it/a.png"></a>'),
        ("html-only", HTML, LONG),
        ("html-script", HTML, f"{LONG}<script>a()</script>"),
        ("html-form", HTML, f"{LONG}<form action='http://x.it'><input name=a></form>"),
        ("html-password", HTML, f"{LONG}<form action='http://x.it'><input type=password name=a></form>"),
        ("html-refresh", HTML, f"<meta http-equiv=refresh content='0;url=http://x.it'>{LONG}"),
        ("hidden-text", HTML, f"{LONG}<div style='display:none'>{'parole ' * 100}</div>"),
        ("invisible", {}, "pa\u200bss\u200bwo\u200brd"),
        ("mixed-scripts", {}, "P\u0430yPal P\u0430yPal P\u0430yPal"),
        ("text-capitals", {}, "COMPRATE ADESSO TUTTI QUANTI. " * 20),
        ("text-short-link", {}, "guarda http://x.it/"),
        ("base64-needless", {"Content-Transfer-Encoding": "base64"}, "Q2lhbyBhIHR1dHRpLCBjb21lIHN0YXRlPwo="),
        ("url-address", {}, "http://203.0.113.9/a"),
        ("url-other-shown", HTML, f"{LONG}<a href='http://x.it/'>https://www.poste.it/accesso</a>"),
        ("url-other-shown", HTML, f"{LONG}<a href='http://192.0.2.99/x'>http://www.paypal.com/</a>"),
        ("url-punycode", {}, "http://xn--mnchen-3ya.de/"),
        ("url-scripts", {}, "http://xn--pypal-4ve.com/"),
        ("url-scripts", {}, "http://xn--80ak6aa92e.com/"),
        ("url-shortener", {}, "http://bit.ly/abc"),
        ("url-free-hosting", {}, "http://banca.web.app/"),
        ("url-user", {}, "http://www.poste.it@x.it/"),
        ("url-port", {}, "http://x.it:8181/"),
        ("url-hidden-host", {}, "http://%77%77%77.x.it/"),
        ("url-hidden-host", {}, "http://0xcb.0x00.0x71.0x09/"),
        ("url-recipient", {}, "http://x.it/?a=caia@caio.it"),
        ("url-digits", {}, "http://a1b2c3.it/"),
        ("url-many-hosts", {}, " ".join(f"http://h{name}.x.it/" for name in "abcd")),
        ("url-many-domains", {}, " ".join(f"http://h{number}.it/" for number in range(50))),
        ("html-handler", HTML, f"<body onload='a()'>{LONG}"),
        ("html-plugin", HTML, f"{LONG}<object data='http://x.it/a.swf'></object>"),
        ("html-data-link", HTML, f"{LONG}<a href='data:text/html,ciao'>qui</a>"),
        ("html-data-image", HTML, f"{LONG}<img src='data:image/png;base64,iVBO'>"),
        ("html-image-map", HTML, f"{LONG}<map><area href='http://x.it/'></map>"),
        ("html-base", HTML, f"<base href='http://x.it/'>{LONG}"),
        ("page-deep", HTML, "<div>" * 600 + LONG),
        ("page-long", HTML, "<br>" * 30_000 + LONG),
    ],
)  # fmt: skip
def test_text_and_links_tell(fact: str, changes: dict[str, str | None], text: str) -> None:
    assert fact in facts(changes, text)


@pytest.mark.parametrize(
    ("fact", "changes", "text"),
    [
        ("image-only", {"Content-Type": "image/jpeg", "Content-Transfer-Encoding": "base64"}, "/9j/4AAQ"),
        ("url-other-shown", HTML, f"{LONG}<a href='http://posta.poste.it/'>https://www.poste.it/accesso</a>"),
        ("url-scripts", {}, "http://xn--mnchen-3ya.de/"),
        ("url-many-hosts", {}, " ".join(f"http://h{name}.tizio.it/" for name in "abcd")),
        ("url-many-domains", {}, " ".join(f"http://h{number}.tizio.it/" for number in range(60))),
        ("invisible", {}, "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645 " * 5),
        ("base64-needless", {"Content-Transfer-Encoding": "base64"}, "UGVyY2jDqSBubz8K"),
        ("html-only", {}, TEXT),
    ],
)  # fmt: skip
def test_text_and_links_tell_no_more_than_there_is(fact: str, changes: dict[str, str | None], text: str) -> None:
    assert fact not in facts(changes, text)


WORDS = " ".join(f"parola{number}" for number in range(60))


@pytest.mark.parametrize(
    ("plain", "page", "differs"),
    [
        (WORDS, "<p>compra adesso</p>", True),
        (WORDS, f"<p>Un titolo</p><p>{WORDS}</p>", False),
        (WORDS, "", False),
        ("Questo messaggio si legge solo come pagina: http://x.it/", f"<p>{WORDS}</p>", False),
    ],
)
def test_a_plain_text_that_readers_of_the_page_are_not_shown(plain: str, page: str, differs: bool) -> None:
    both = {"Content-Type": "multipart/alternative; boundary=b"}
    found = facts(both, f"--b\n\n{plain}\n--b\nContent-Type: text/html\n\n{page}\n--b--\n")
    assert ("alternative-differs" in found) is differs


@pytest.mark.parametrize(("kind", "before"), [("text/plain", False), ("image/jpeg", True)])
def test_what_is_longer_than_what_is_read_of_it(kind: str, before: bool) -> None:
    headers, body = read(f"Content-Type: {kind}\n\n{TEXT}".encode())
    found = facts_of(read_message(headers, body, 2 * len(body)), IN_A_FILE)
    assert ("cut-off" in found, "cut-before-text" in found) == (True, before)
    assert "cut-off" not in facts_of(read_message(headers, body, len(body)), IN_A_FILE)


def attached(name: str, kind: str = "application/octet-stream", text: str = "x") -> dict[str, str]:
    body = f"--b\n\n{TEXT}La password e' 1234.\n--b\nContent-Type: {kind}; name=\"{name}\"\n\n{text}\n--b--\n"
    return facts({"Content-Type": 'multipart/mixed; boundary="b"'}, body)


@pytest.mark.parametrize(
    ("fact", "name"),
    [
        ("attachment-executable", "fattura.EXE"),
        ("attachment-double", "fattura.pdf.exe"),
        ("attachment-double", "fattura.pdf.zip"),
        ("attachment-reversed", "fattura\u202efdp.exe"),
        ("attachment-risky", "fattura.iso"),
        ("attachment-risky", "fattura.docm"),
        ("attachment-page", "fattura.html"),
        ("attachment-locked", "fattura.zip"),
    ],
)
def test_names_of_files_tell(fact: str, name: str) -> None:
    assert fact in attached(name)


def test_a_document_is_nothing_odd() -> None:
    assert attached("fattura.2026.pdf", "application/pdf") == {}


SMUGGLER = "<script>var b = new Blob([Uint8Array.from(atob('TVqQ'))]); a.href = URL.createObjectURL(b)</script>"


@pytest.mark.parametrize(("name", "kind"), [("a.html", "text/html"), ("a.svg", "image/svg+xml"), ("a.htm", "a/b")])
def test_a_file_made_by_a_script(name: str, kind: str) -> None:
    assert "smuggling" in attached(name, kind, SMUGGLER)
    assert "smuggling" not in attached(name, kind, "<script>document.write('ciao')</script>")


def test_the_test_string_of_spam_filters_wherever_it_stands() -> None:
    string = "XJS*C4JDBQADN1.NSBN3*2IDNEN*" + "GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"
    assert "gtube" in facts(text=f"a\n{string}\n")
    assert "gtube" in facts(HTML, f"<html><p>{string}</p></html>")
    assert "gtube" not in facts(text=string[:-1])


def test_results_of_checks_before() -> None:
    results = (
        AuthResult("spf", "pass", (("smtp.mailfrom", "tizio@posta.tizio.it"),)),
        AuthResult("dkim", "pass", (("header.d", "altrui.it"),)),
        AuthResult("dmarc", "fail"),
        AuthResult("dkim", "geheim"),
    )
    found = facts(about=IN_A_FILE._replace(results=results))
    assert set(found) == {"spf=pass", "spf-aligned", "dkim=pass", "dmarc=fail"}


def test_results_that_a_header_claims_count_for_nothing() -> None:
    assert facts({"Authentication-Results": "mail.caio.it; dkim=pass header.d=tizio.it"}) == {}


@given(
    st.lists(st.tuples(st.sampled_from(sorted(GOOD)), st.text(max_size=60)), max_size=12),
    st.text(max_size=300),
)
def test_anything_can_be_looked_at(fields: list[tuple[str, str]], text: str) -> None:
    raw = "".join(f"{name}: {value}\n" for name, value in fields) + "\n" + text
    headers, body = read(raw.encode("utf-8", "surrogatepass"))
    found = facts_of(read_message(headers, body, len(body)), FROM_HOST)
    assert found.keys() <= FACTS.keys()
    assert all(len(detail) <= MAX_DETAIL for detail in found.values())


BEGINNINGS = {
    "Received": "from a (", "Subject": "Re: ", "From": "", "To": "recipients", "Cc": "", "Reply-To": "",
    "Date": "Mon, ", "Message-ID": "<a@", "X-Mailer": "Microsoft Outlook ", "Return-Path": "<", "References": "",
    "List-Id": "<", "Precedence": "", "X-Priority": "", "Sender": "",
}  # fmt: skip
UNITS = [" ", "(", "<", "@", "a", "a.", "a@", ".a", "[1", ":", " by ", " id ", "helo ", ", ", "recipients ", "\"", "=?",
         "a1", "\u0430a", "\t\u00e8"]  # fmt: skip


@pytest.mark.parametrize("unit", UNITS)
def test_time_grows_no_faster_than_the_number_of_fields(unit: str) -> None:
    def prepare(size: int) -> Callable[[], object]:
        fields = "".join(f"{name}: {start}{unit * (1900 // len(unit))}x\n" for name, start in BEGINNINGS.items())
        headers, body = read((fields * size + "\nciao\n").encode())
        reading = read_message(headers, body, len(body))
        return lambda: facts_of(reading, FROM_HOST)

    assert in_proportion(prepare, 20)


@pytest.mark.parametrize("unit", UNITS)
def test_time_grows_no_faster_than_the_fields(unit: str) -> None:
    def prepare(size: int) -> Callable[[], object]:
        fields = "".join(f"{name}: {start}{unit * (size // len(unit))}x\n" for name, start in BEGINNINGS.items())
        headers, body = read((fields * 20 + "\nciao\n").encode())
        reading = read_message(headers, body, len(body))
        return lambda: facts_of(reading, FROM_HOST)

    assert in_proportion(prepare, 240)


BODIES = {
    "text": "Content-Type: text/plain\n\n{}",
    "script": "Content-Type: text/html\n\n<script>atob(1); {}</script>",
    "returned": "Content-Type: multipart/report; report-type=delivery-status; boundary=b\n\n"
    "--b\n\nx\n--b\nContent-Type: message/rfc822\n\nMessage-ID: {}\n\n--b--\n",
    "pages": "Content-Type: text/html\n\n<a href='http://www.tizio.it/{}'>www.caio.it/{}</a>",
}


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize(
    "unit", ["location ", "new ", " ", "!", " by a", "> ", "http://a1b2c3.it ", "<br>", "ww.", "A", "\u0430b"]
)
def test_time_grows_no_faster_than_the_body(unit: str, body: str) -> None:
    def prepare(size: int) -> Callable[[], object]:
        before, _, behind = BODIES[body].partition("{}")
        text = f"{before}{unit * 3}location{unit * size}{behind}".replace("{}", unit * size)
        headers, content = read(f"In-Reply-To: <a@caio.it>\n{text}\n".encode())
        reading = read_message(headers, content, len(content))
        return lambda: facts_of(reading, FROM_HOST)

    assert in_proportion(prepare, 1000)


def test_many_locked_archives_take_no_longer_than_their_names() -> None:
    def prepare(size: int) -> Callable[[], object]:
        part = '--b\nContent-Type: application/zip; name="fattura.zip"\n\nx\n'
        text = "--b\n\n" + "pass " * 3000 + "\n" + part * size + "--b--\n"
        headers, body = read(f"Content-Type: multipart/mixed; boundary=b\n\n{text}".encode())
        reading = read_message(headers, body, len(body))
        return lambda: facts_of(reading, FROM_HOST)

    assert in_proportion(prepare, 100)


@pytest.mark.parametrize(
    ("value", "helo", "name", "address", "by", "nameless"),
    [
        ("from a.it (b.it [203.0.113.9]) by c.it (Postfix) id 1; x", "a.it", "b.it", "203.0.113.9", "c.it", False),
        ("from a (unknown [203.0.113.9])\tby c.it; x", "a", "", "203.0.113.9", "c.it", True),
        ("from [203.0.113.9] ([203.0.113.9]) by c.it; x", "[203.0.113.9]", "", "203.0.113.9", "c.it", False),
        ("from a.it ([203.0.113.9]) by c.it (8.15.2/1) id 1; x", "a.it", "", "203.0.113.9", "c.it", True),
        ("from b.it (b.it [203.0.113.9] (may be forged)) by c.it (8.15.2/1)", "b.it", "", "203.0.113.9", "c.it", True),
        ("from unknown (HELO a.it) (203.0.113.9) by c.it with SMTP; x", "a.it", "", "203.0.113.9", "c.it", False),
        ("from b.it ([203.0.113.9] helo=a.it) by c.it (Exim)", "a.it", "b.it", "203.0.113.9", "c.it", False),
        ("from a.it (b.it [IPv6:2001:db8::1]) by c.it; x", "a.it", "b.it", "2001:db8::1", "c.it", False),
        ("by c.it (Postfix, from userid 0) id 1; x", "", "", "", "c.it", False),
        ("(qmail 1 invoked by uid 0); x", "", "", "", "uid", False),
        ("", "", "", "", "", False),
    ],
)  # fmt: skip
def test_received_fields_of_many_servers(
    value: str, helo: str, name: str, address: str, by: str, nameless: bool
) -> None:
    hop = hop_of(value)
    assert (hop.helo, hop.name, hop.address, hop.by, hop.nameless) == (helo, name, address, by, nameless)


@given(st.text(max_size=300))
def test_any_received_field_can_be_read(value: str) -> None:
    assert len(hops_of([value])) == 1


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("Mon, 21 Sep 2026 15:33:10 +0200", 1_789_997_590),
        ("21 Sep 2026 13:33 GMT", 1_789_997_580),
        ("Mon, 21 Sep 26 08:33:10 EST", 1_789_997_590),
        ("Mon Sep 21 13:33:10 2026", 1_789_997_590),
        ("Mon, 99 Sep 2026 15:33:10 +0200", None),
        ("Mon, 21 Foo 2026 15:33:10 +0200", None),
        ("", None),
    ],
)
def test_dates(text: str, seconds: int | None) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("address", ["", "x", "10.1.2.3", "172.16.0.1", "100.64.0.1", "::1", "fe80::1", "127.0.0.1"])
def test_addresses_that_are_nobody_elses(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["203.0.113.9", "172.32.0.1", "2001:db8::1"])
def test_addresses_of_the_internet(address: str) -> None:
    assert is_public(address)


def test_no_letter_that_looks_like_another_is_passed_over() -> None:
    assert all(has_like(f"caff\xe8 {letter} \u20ac \U0001f600") for letter in re.findall(f"[{LIKE}]", _ALL))
    assert not has_like("caff\xe8 \u20ac \u201cno\u201d \u4f60 \U0001f600 \udc80")


_ALL = "".join(map(chr, range(0x370, 0x530)))
