"""A page is read as its reader sees it: what is shown, what is hidden, where it leads, and in linear time."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.checks.score.growth import in_proportion
from vaglio.checks.score import htmllook, htmltags
from vaglio.checks.score.html import MARKS, MAX_LINKS, MAX_TAGS, Link, page_of

SEEN = "ecco"
UNSEEN = "nascosto"


def shown(html: str) -> str:
    return page_of(html).shown


def test_text_comes_in_lines_as_blocks_do() -> None:
    page = page_of("<html><body><h1>Uno</h1><p>due\n  tre <b>q</b>uattro<br>cinque<table><tr><td>sei<td>sette</table>")
    assert page.shown == "Uno\ndue tre quattro\ncinque\nsei sette"
    assert (page.hidden, page.links, page.images, page.marks) == ("", (), (), frozenset())


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("a &amp; b &lt;c&gt; &eacute;&#233;&#xE9;", "a & b <c> ééé"),
        ("&#xD800;&#0;&#99999999;", "\ufffd\ufffd\ufffd"),
        (f"&#{'9' * 5000};", f"&#{'9' * 5000};"),
        ("1 < 2 and 3<4", "1 < 2 and 3<4"),
        ("a<!-- b --><!--> c <!-- d > -- e --!>f<!-->g-->", "a c fg-->"),
        ("a<!-- never closed <p>b", "a"),
        ("a<![CDATA[b]]><?xml c?><!doctype html></ d>e", "ae"),
        ("a<script>b <p> '</p' c</SCRIPT >d<style>e</style><title>f</title>g", "adg"),
        ("a<script>never closed </scripture> b", "a"),
        ("a<textarea>b <i> &amp;</textarea>c", "ab <i> &c"),
        ("a<template>b</template>c", "ac"),
        ("a<br title='<p>x>y' class=z/>b", "a\nb"),
        ("a<p title=it's>b</p>c", "a\nb\nc"),
        ("a<p title='<b>' class=x>b<p title=\"<i\">c", "a\nb\nc"),
        ("a<p title='b>c", "a\nc"),
        ("a<b title=\"c>d<i title='\">e</b>'>f", "ae'>f"),
        ("a<!-- <b --> c <i>d</i>", "a c d"),
        ("a<//b>c", "ac"),
        ("a<b never closed", "a"),
        ("<a\0b\x01>c</a\0b>\0d", "c\0d"),
        ("", ""),
        ("<", "<"),
    ],
)
def test_tags_begin_and_end_where_browsers_have_it(html: str, text: str) -> None:
    assert shown(html) == text


@pytest.mark.parametrize(
    "tag",
    [
        "<p style='display:none'>", "<p style='DISPLAY : None !important'>", "<p style='a:b;display:/**/none'>",
        "<p hidden>", "<p style=visibility:hidden>", "<p style='opacity:0'>", "<p style='opacity: 0.01'>",
        "<p style='font-size:0'>", "<p style='font-size:1px'>", "<p style='font-size:.1em'>",
        "<p style='font-size:1pt'>", "<p style='font:0/0 a'>", "<p style='font-size:20%'><i style='font-size:30%'>",
        "<p style='height:0;overflow:hidden'>", "<p style='max-height:0px;overflow:hidden'>",
        "<p style='width:0;overflow:hidden'>", "<p style='text-indent:-9999px'>",
        "<p style='position:absolute;left:-5000px'>",
        "<font color=white>", "<font color='#FFFFFE'>", "<font color=fff>", "<p style='color:#fff'>",
        "<p style='color:rgb(250, 250, 250)'>", "<p style='color:rgba(0,0,0,0)'>", "<p style='color:transparent'>",
        "<p style='color:#00000000'>",
        "<body bgcolor=black><font color='#000'>", "<table bgcolor='#123456'><td><font color='#123455'>",
        "<div style='background:#eee'><b><font style='color:#eee'>", "<body bgcolor=black text=black>",
        "<div style='background-color: navy'><p><span style='color:#000080'>",
        "<div style='display:none'><p style='display:block'>", "<div style='display:none'><div></div>",
    ],
)  # fmt: skip
def test_what_is_not_seen_is_told_apart(tag: str) -> None:
    page = page_of(f"{SEEN}{tag}{UNSEEN}")
    assert (page.shown, page.hidden) == (SEEN, UNSEEN)


@pytest.mark.parametrize(
    "tag",
    [
        "<p style='display:block'>", "<p style='font-size:3px'>", "<p style='font-size:0'><b style='font-size:12px'>",
        "<p style='visibility:hidden'><b style='visibility:visible'>", "<p style='height:0'>", "<p style='opacity:.5'>",
        "<p style='font-size:0'><font size=2>", "<p style='font-size:calc(1px)'>", "<p style='font-size:small'>",
        "<body bgcolor=black><font color=white>", "<body bgcolor=black><table bgcolor=white><td><font color=black>",
        "<td background=x.png><font color=white>", "<td style='background:url(x.png)'><font color=white>",
        "<td style='background-color:#fff;background:url(x) #fff'><font color=white>",
        "<font color=white><a href=x>", "<font color=nonsense>", "<td bgcolor=nonsense><font color=white>",
        "<font color='#ccc'>", "<p style='text-indent:-1em'>", "<p style='position:relative;left:-5000px'>",
        "<style>.x { background: black }</style><p class=x><font color=white>", "<p style='mso-hide:none'>",
        "<p style='color:rgba(255,255,255,.5.5)'>", "<p style=''>", "<p aria-hidden=true>",
    ],
)  # fmt: skip
def test_what_is_seen_is_shown(tag: str) -> None:
    page = page_of(f"{tag}{SEEN}")
    assert (page.shown, page.hidden) == (SEEN, "")


NONE = "style=display:none"


@pytest.mark.parametrize(
    "html",
    [
        f"<p {NONE}>{UNSEEN}<p>{SEEN}",
        f"<p {NONE}>{UNSEEN}<div>{SEEN}",
        f"<li {NONE}>{UNSEEN}<li>{SEEN}",
        f"<table><tr><td {NONE}>{UNSEEN}<td>{SEEN}",
        f"<table><tr {NONE}><td>{UNSEEN}<tr><td>{SEEN}",
        f"<table {NONE}><tr><td><table><td></table>{UNSEEN}</table>{SEEN}",
        f"<dl><dt {NONE}>{UNSEEN}<dd>{SEEN}",
        f"<div {NONE}><p>{UNSEEN}</div>{SEEN}",
        f"<div {NONE}><table><td></div>{UNSEEN}</table></div>{SEEN}",
        f"<div {NONE}></p></span></nothing>{UNSEEN}</div>{SEEN}",
        f"<span {NONE}><div></span>{UNSEEN}</div></span>{SEEN}",
        f"<font {NONE}>{UNSEEN}<i></font>{SEEN}",
        f"<img {NONE}><br {NONE}><input {NONE}>{SEEN}<b {NONE}>{UNSEEN}",
        f"<svg><rect {NONE} /></svg>{SEEN}<i {NONE}>{UNSEEN}",
        f"<select><option {NONE}>{UNSEEN}<option>{SEEN}",
    ],
)
def test_style_ends_where_its_tag_does(html: str) -> None:
    page = page_of(html)
    assert (page.shown, page.hidden) == (SEEN, UNSEEN)


def test_fillers_without_width_are_no_hidden_text() -> None:
    assert page_of("<div hidden>&zwnj;&nbsp;&shy;&#847; \u200b\ufeff</div>").hidden == ""


@pytest.mark.parametrize(
    ("html", "links"),
    [
        ("<a href='http://a.it/?x=1&amp;y=2'>vai <b>l&igrave;</b>\n ora</a> e",
         [("http://a.it/?x=1&y=2", "vai lì ora")]),
        ("<A HREF=http://a.it/ >x</A>", [("http://a.it/", "x")]),
        ("<a href=one>1<a href=two>2", [("one", "1"), ("two", "2")]),
        ("<table><td><a href=one>1</td><td>2</table>", [("one", "1")]),
        ("<a href=x><i style=display:none>http://b.it</i>c</a>", [("x", "c")]),
        ("<a name=x>y</a><a href=''>z</a>", []),
        ("<a href=one href=two>1</a>", [("one", "1")]),
        ("<map><area href=x></map>", [("x", "")]),
        ("<form action=x><button formaction=y>", [("x", ""), ("y", "")]),
        ("<iframe src=x></iframe><frame src=y><embed src=z><object data=w>",
         [("x", ""), ("y", ""), ("z", ""), ("w", "")]),
        ("<script src=x></script><link href=y>", [("x", ""), ("y", "")]),
        ("<meta http-equiv=Refresh content='0; url=http://a.it/'>", [("http://a.it/", "")]),
        ("<svg><a xlink:href=x>y</a></svg>", [("x", "y")]),
        ("<base href='http://a.it/b/c'><a href=d>x</a><a href=/e>x</a><a href=//f.it>x</a><a href=mailto:g@h.it>x</a>",
         [("http://a.it/b/d", "x"), ("http://a.it/e", "x"), ("http://f.it", "x"), ("mailto:g@h.it", "x")]),
    ],
)  # fmt: skip
def test_links_with_the_text_that_is_shown(html: str, links: list[tuple[str, str]]) -> None:
    assert page_of(html).links == tuple(Link(*link) for link in links)


def test_images_wherever_they_are_named() -> None:
    html = ("<img src=a><input type=image src=b><body background=c><p style='background:url(\"d\")'>"
            "<svg><image href=e></svg><video poster=f>")  # fmt: skip
    assert page_of(html.replace('"d"', "d")).images == ("a", "b", "c", "d", "e", "f")
    assert page_of("<base href=http://a.it/><img src=b>").images == ("http://a.it/b",)
    assert len(page_of(f"<img src=data:{'x' * 9000}>").images[0]) == 100


@pytest.mark.parametrize(
    ("html", "marks"),
    [
        ("<script>", {"script"}),
        ("<body onload=x>", {"handler"}),
        ("<a href=' java\nscript:x'>", {"script-link"}),
        ("<svg><script>", {"script", "svg-script"}),
        ("<svg></svg><script>", {"script"}),
        ("<form><input type=Password>", {"form", "password"}),
        ("<iframe>", {"iframe"}),
        ("<object>", {"object"}),
        ("<EMBED src=x>", {"object"}),
        ("<meta http-equiv=refresh content=5>", {"meta-refresh"}),
        ("<a href='data:text/html,x'>", {"data-link"}),
        ("<img src='data:image/png,x'>", {"data-image"}),
        ("<map><area href=x>", {"image-map"}),
        ("<base href=x>", {"base"}),
        ("<div>" * 600, {"deep"}),
        ("<br>" * (MAX_TAGS + 1), {"long"}),
        ("<one two=three>", set()),
    ],
)
def test_marks_of_what_else_matters(html: str, marks: set[str]) -> None:
    found = page_of(html).marks
    assert found == marks
    assert found <= set(MARKS)


def test_there_is_an_end_to_links() -> None:
    page = page_of("<a href=x>y</a><img src=z>" * (MAX_LINKS + 1))
    assert (len(page.links), len(page.images)) == (MAX_LINKS, MAX_LINKS)


_PIECES = st.sampled_from([
    "<", ">", "</", "/>", "<p>", "<p", "</p>", "<a href=", "</a>", "<table>", "<td>", "<tr>", "</table>", "<script>",
    "</script>", "<!--", "-->", "--!>", "<!", "<?", "=", '"', "'", " ", "\n", "&", "&#", "&#x", ";", "<svg>", "</svg>",
    "<span style='display:none'>", "</span>", "<div style=\"color:#fff;background:", "</div>", "<font color=white>",
    "</font>", "<b>", "</b>", "<template>", "<textarea>", "</textarea>", "<base href=//", "<li>", "<option>", "x",
    "\0", "\ufffd", "é", "style", "rgb(1,2,3)", "font-size:1e9px", "<style>background", "</style>",
])  # fmt: skip


@given(st.one_of(st.text(max_size=500), st.lists(_PIECES, max_size=80).map("".join)))
def test_any_page_is_read(html: str) -> None:
    page = page_of(html)
    assert len(page.shown) + len(page.hidden) <= 2 * len(html)
    assert page.marks <= set(MARKS)


HOSTILE: dict[str, Callable[[int], str]] = {
    "nested": lambda size: "<div>" * size,
    "nested in what is inline": lambda size: "<span>" * size + "<div>" * size,
    "ends of what is not open": lambda size: "<i>" * size + "</div>" * size,
    "ends that reach nothing": lambda size: "<span><div>" + "<i>" * size + "</span>" * size,
    "formatting that browsers open anew": lambda size: (
        "".join(f"<font a={number}>" for number in range(size)) + "<p>x</p>" * size
    ),
    "formatting that browsers move": lambda size: "<b>" * 8 + "<div>" * size + "</b>" * size,
    "attributes": lambda size: "<a " + "".join(f"a{number}=1 " for number in range(size)) + ">",
    "attributes without an end": lambda size: '<a b="' * size,
    "tags without an end": lambda size: "<a " * size,
    "less-than signs": lambda size: "<" * size * 10,
    "comments": lambda size: "<!--" * size,
    "a comment of hyphens": lambda size: "<!--" + "-" * size * 10,
    "scripts": lambda size: "<script></script" * size,
    "blanks": lambda size: "<p>" + " " * size * 10,
    "blanks in a tag": lambda size: "<p " + " " * size * 10,
    "equals signs": lambda size: "<p " + "= " * size * 5 + ">",
    "numbers": lambda size: "&#" + "9" * size * 10,
    "styles": lambda size: "".join(f"<p style='color:#{number:06x}'>x" for number in range(size)),
    "tables": lambda size: "<table><tr><td>" * size,
    "links": lambda size: "".join(f"<table><td><a href={number}>x" for number in range(size)),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_time_grows_no_faster_than_the_page(name: str) -> None:
    def prepare(size: int) -> Callable[[], object]:
        html = HOSTILE[name](size)

        def work() -> None:
            htmltags._short_tag.cache_clear()
            htmllook._style.cache_clear()
            page_of(html)

        return work

    assert in_proportion(prepare, 1000)


_UNITS = ["<i></i>", "<style>", "<!--", "<p ", "< ", " href", " href=x", "href  ", "&#9", "<p a='>"]


@pytest.mark.parametrize("unit", _UNITS)
def test_time_grows_no_faster_than_what_is_behind_the_last_tag(unit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vaglio.checks.score.html.MAX_TAGS", 1)

    def prepare(size: int) -> Callable[[], object]:
        html = "<p>" + unit * size
        return lambda: page_of(html)

    assert in_proportion(prepare, 4000)


def test_nobody_hides_behind_more_tags_than_are_read() -> None:
    found = page_of(
        "<i></i>" * MAX_TAGS + "<style>p {}</style><!-- x --><p>compra<br>v<b>ia</b>gra &amp; "
        "<a class=x\nHREF='http://caio.it'>qui</a>"
    )
    assert found.shown == "compra viagra & qui"
    assert found.links == (Link("http://caio.it", ""),)
    assert "long" in found.marks


def test_of_too_many_links_the_last_are_kept_too() -> None:
    found = page_of("".join(f"<a href={number}>x</a>" for number in range(2 * MAX_LINKS))).links
    assert len(found) == MAX_LINKS
    assert (found[0].target, found[-1].target) == ("0", str(2 * MAX_LINKS - 1))
