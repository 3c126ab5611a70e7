"""URLs are found as mail programs find them, and lead where browsers go."""

# ruff: noqa: RUF001  # letters that look like others are what this is about
from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.checks.score.growth import in_proportion
from vaglio.checks.score.urls import MAX_SHOWN, MAX_URL, MAX_URLS, Url, found_in, joined, url_of, urls_of


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("vai su http://caio.it/x?y=z#w, ora", ["http://caio.it/x?y=z#w"]),
        ("HTTPS://Caio.it. Ftp://caio.it!", ["https://Caio.it", "ftp://caio.it"]),
        ("(http://caio.it/a_(b)) <http://tizio.it/> [http://x.it]",
         ["http://caio.it/a_(b)", "http://tizio.it/", "http://x.it"]),
        ("www.caio.it e WWW.tizio.it; a.www.x.it, @www.y.it", ["www.caio.it", "WWW.tizio.it"]),
        ("http://www.caio.it/www.x.it", ["http://www.caio.it/www.x.it"]),
        ("quihttp://caio.it", ["http://caio.it"]),
        ("«http://caio.it»“www.x.it”‘http://y.it’", ["http://caio.it", "http://y.it", "www.x.it"]),
        ("请看http://caio.cn，谢谢", ["http://caio.cn"]),
        ("hxxp://caio.it sip://x mailto:a@b.it :// http:// www. nothing", []),
        ("http://a.it/?u=http://b.it/", ["http://a.it/?u=http://b.it/"]),
        ("http://a.it/\x00b\u3000c", ["http://a.it/"]),
    ],
)  # fmt: skip
def test_urls_stand_in_text(text: str, found: list[str]) -> None:
    assert list(found_in(text)) == found


@pytest.mark.parametrize(
    ("written", "host", "domain", "rest"),
    [
        ("http://www.Caio.it/a/B?c=D#e", "www.caio.it", "caio.it", "/a/B?c=D"),
        ("https://caio.co.uk:8443", "caio.co.uk", "caio.co.uk", ""),
        ("ftp://a.caio.it/", "a.caio.it", "caio.it", "/"),
        ("www.caio.it/x", "www.caio.it", "caio.it", "/x"),
        ("//caio.it/x", "caio.it", "caio.it", "/x"),
        ("\\\\caio.it\\x", "caio.it", "caio.it", "\\x"),
        ("http:caio.it", "caio.it", "caio.it", ""),
        ("http:\\/\\caio.it\\x", "caio.it", "caio.it", "\\x"),
        (" \x01ht\ntp\t://ca\r\nio.it/a\nb ", "caio.it", "caio.it", "/ab"),
        ("http://paypal.com@caio.it/", "caio.it", "caio.it", "/"),
        ("http://a:b@c@caio.it:80?x", "caio.it", "caio.it", "?x"),
        ("http://paypal.com\\@caio.it/", "paypal.com", "paypal.com", "\\@caio.it/"),
        ("http://c%61io%2eit/", "caio.it", "caio.it", "/"),
        ("http://caio.it./", "caio.it", "caio.it", "/"),
        ("http://perché.it/", "xn--perch-fsa.it", "xn--perch-fsa.it", "/"),
        ("http://perch%C3%A9.it/", "xn--perch-fsa.it", "xn--perch-fsa.it", "/"),
        ("http://ｃａｉｏ．ｉｔ/", "caio.it", "caio.it", "/"),
        ("http://caio。it/", "caio.it", "caio.it", "/"),
        ("http://ca\u00adio\u200b.it/", "caio.it", "caio.it", "/"),
        ("http://I\u2665.la/", "xn--i-n3p.la", "xn--i-n3p.la", "/"),
        ("http://github.io/", "github.io", "", "/"),
        ("http://192.0.2.1/x", "192.0.2.1", "", "/x"),
        ("http://3221225985", "192.0.2.1", "", ""),
        ("http://0xC0000201", "192.0.2.1", "", ""),
        ("http://0300.0.0x2.01", "192.0.2.1", "", ""),
        ("http://1.2.0x", "1.2.0.0", "", ""),
        ("http://192.0.513", "192.0.2.1", "", ""),
        ("http://１９２.0.2.1./", "192.0.2.1", "", "/"),
        ("http://%31%39%32.0.2.1", "192.0.2.1", "", ""),
        ("http://[2001:DB8:0::1]:80/", "2001:db8::1", "", "/"),
        ("http://a_b.caio.it", "a_b.caio.it", "caio.it", ""),
    ],
)
def test_a_url_leads_where_browsers_go(written: str, host: str, domain: str, rest: str) -> None:
    url = url_of(written)
    assert url is not None
    assert (url.host, url.domain, url.rest) == (host, domain, rest)
    assert url.scheme in ("http", "https", "ftp")
    assert url.whole.lower().startswith(url.scheme)


@pytest.mark.parametrize(
    "written",
    [
        "", "#", "x", "/x", "x.html", "caio.it/x", "mailto:a@caio.it", "tel:1", "javascript:x", "data:text/html,x",
        "cid:a@b", "http://", "http:///", "http://localhost/", "http://caio[.]it/", "http://ca io.it/", "http://ca<io.it",
        "http://caio..it/", "http://caio.it../", "http://256.0.2.1", "http://1.2.3.4.5", "http://4294967296",
        "http://08.1", "http://a.1", "http://[::1", "http://[x]", "http://[fe80::1%25eth0]/", "http://%zz.it",
        f"http://{'a' * 64}.it", f"http://{'a.' * 130}it", f"http://{'é' * 300}.it", f"http://{'%61' * 300}.it",
        "http:://x.it",
    ],
)  # fmt: skip
def test_what_leads_to_no_host_is_no_url(written: str) -> None:
    assert url_of(written) is None


def test_the_whole_is_as_written_but_for_what_browsers_drop() -> None:
    assert url_of(" HTTP://a@Caio.it\t/ x ", "vai") == Url(
        "HTTP://a@Caio.it/ x", "http", "caio.it", "caio.it", "/ x", "vai"
    )
    assert url_of("//Caio.it") == Url("http://Caio.it", "http", "caio.it", "caio.it", "")


def test_there_is_an_end_to_a_url_and_to_its_text() -> None:
    url = url_of("http://caio.it/" + "x" * 9000, "y" * 9000)
    assert url is not None
    assert (len(url.whole), len(url.shown)) == (MAX_URL, MAX_SHOWN)
    assert len(next(found_in("http://caio.it/" + "x" * 9000))) <= MAX_URL + len("http://")


def wholes(*links: tuple[str, str], text: str = "", images: tuple[str, ...] = ()) -> list[tuple[str, str]]:
    found = urls_of(links, [text], images)
    assert found.all
    return [(url.whole, url.shown) for url in found.urls]


def test_each_url_comes_once_and_that_of_a_link_before_that_of_text() -> None:
    assert wholes(
        ("http://a.it/", "uno"), ("http://b.it/", "due"), ("http://a.it/", "tre"), ("#", "su"),
        text="http://b.it/ http://c.it/ http://c.it/", images=("http://d.it/x.png", "cid:x", "http://a.it/"),
    ) == [
        ("http://a.it/", "uno"), ("http://b.it/", "due"), ("http://c.it/", ""), ("http://d.it/x.png", ""),
    ]  # fmt: skip


def test_what_a_link_displays_is_where_it_does_not_lead() -> None:
    assert wholes(("http://a.it/", "http://bank.it"), text="vai su http://bank.it o http://c.it") == [
        ("http://a.it/", "http://bank.it"), ("http://c.it", ""),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("written", "inner"),
    [
        ("http://a.it/r?u=http://b.it/x&c=d", ["http://b.it/x"]),
        ("http://a.it/r?u=https%3A%2F%2Fb.it%2Fx%26y&c=d", ["https://b.it/x&y"]),
        ("http://a.it/r?u=https%253a%252F%252fb.it", ["https://b.it"]),
        ("http://a.it/http://b.it/http://c.it", ["http://b.it/http://c.it"]),
        ("http://a.it/?http://b.it&http://c.it&http://d.it&http://e.it", ["http://b.it", "http://c.it", "http://d.it"]),
        ("http://a.it/?u=http://b&http%3a", []),
    ],
)
def test_urls_that_one_redirects_to_are_urls_too(written: str, inner: list[str]) -> None:
    assert wholes((written, "x")) == [(written, "x"), *((one, "") for one in inner)]


def test_there_is_an_end_to_urls() -> None:
    many = urls_of((), [" ".join(f"http://a.it/{number}" for number in range(MAX_URLS + 1))])
    assert (len(many.urls), many.all) == (MAX_URLS, False)
    none = urls_of([(f"#{number}", "") for number in range(9000)], [])
    assert (len(none.urls), none.all) == (0, False)
    within = urls_of([(f"http://a.it/{number}?http://b{number}.it", "") for number in range(MAX_URLS - 1)], [])
    assert (len(within.urls), within.all) == (MAX_URLS, False)


@pytest.mark.parametrize(
    ("base", "target", "where"),
    [
        ("https://a.it/b/c?d#e", "f", "https://a.it/b/f"),
        ("https://a.it", "f", "https://a.it/f"),
        ("https://a.it/b/c", "/f", "https://a.it/f"),
        ("https://a.it/b/c", "?f", "https://a.it/b/?f"),
        ("https://a.it/b", "//c.it", "https://c.it"),
        ("https://a.it/b", "\\\\c.it", "https:\\\\c.it"),
        ("https://a.it/b", "mailto:c@d.it", "mailto:c@d.it"),
        ("https://a.it/b", " http://c.it", "http://c.it"),
        ("//a.it", "b", "b"),
        ("", "b", "b"),
        ("nonsense", "b", "b"),
    ],
)
def test_relative_links_are_joined_with_their_base(base: str, target: str, where: str) -> None:
    assert joined(base, target) == where


_PIECES = st.sampled_from([
    "http", "https", "ftp", ":", "/", "//", "://", "\\", "@", "www.", ".", "..", "caio", "it", "[", "]", "::1", "%",
    "%2e", "%00", "%c3%a9", "é", "\u3002", "\u200b", "xn--", "xn--a", "0x", "1", "255", "4294967295", "9" * 300,
    "?", "#", "&", " ", "\t", "\n", "\ud800", "\U0001f4a9", "ß", "\u0130", "(", ")", "-", "_", "a" * 60,
])  # fmt: skip


def test_of_too_many_the_last_are_kept_too() -> None:
    links = [(f"http://a{number}.it", "") for number in range(3 * MAX_URLS)]
    found = urls_of(links, ["www.ultimo.it"], ["http://immagine.it"])
    assert (len(found.urls), found.all) == (MAX_URLS, False)
    assert [url.host for url in (found.urls[0], found.urls[-1])] == ["a0.it", "www.ultimo.it"]
    assert len({url.host for url in found.urls}) == MAX_URLS
    some = urls_of(links[: MAX_URLS - 2], ["www.ultimo.it"], ["http://immagine.it"])
    of_links = [f"a{number}.it" for number in range(MAX_URLS - 2)]
    assert [url.host for url in some.urls] == [*of_links, "www.ultimo.it", "immagine.it"]
    assert some.all


@pytest.mark.parametrize(
    ("written", "host"),
    [
        ("https://www.google.com/amp/s/caio.it/x", "caio.it"),
        ("https://www.google.it/url?sa=t&q=caio.it%2Fx", "caio.it"),
        ("https://www.youtube.com/redirect?q=caio.it", "caio.it"),
        ("https://caio-it.cdn.ampproject.org/c/s/caio.it", "caio.it"),
        ("https://www.google.com/search?q=caio.it", ""),
        ("https://www.google.com/url?q=due+parole", ""),
        ("https://www.tizio.it/url?q=caio.it", ""),
    ],
)
def test_those_that_redirect_need_no_scheme_to_say_where_to(written: str, host: str) -> None:
    assert [url.host for url in urls_of([(written, "")], []).urls[1:]] == ([host] if host else [])


@given(st.one_of(st.text(max_size=300), st.lists(_PIECES, max_size=30).map("".join)))
def test_any_text_is_read_within_bounds(text: str) -> None:
    for written in (text, *found_in(text), joined(text, text)):
        if url := url_of(written, text):
            assert url.host.isascii()
            assert url.host == url.host.lower()
            assert 0 < len(url.host) <= 253
            assert len(url.whole) <= MAX_URL
            assert url.domain == "" or url.host.endswith(url.domain)
    assert len(urls_of([(text, text)], [text], [text]).urls) <= MAX_URLS


@pytest.mark.parametrize("unit", ["http://", "://", "www.", " www.x", "http://a.it/) ", "http://é%2e", "http://a.it/?http%3a"])
def test_time_grows_no_faster_than_the_text(unit: str) -> None:
    def prepare(size: int) -> Callable[[], object]:
        text = unit * size
        return lambda: urls_of([(text, text[:500])], [text], [text])

    assert in_proportion(prepare, 2000)
