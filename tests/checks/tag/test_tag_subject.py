"""Marks at the front of subjects: put, found, taken away, and every other byte left as it is."""

from __future__ import annotations

import email.header
import itertools
from base64 import b64encode

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vaglio.checks.tag.subject import MAX_READ, Marks, as_seen, encoded_words, filled, misfit, put, shown
from vaglio.milter.text import header_value

TAGS = ("[SPAM]", "***SPAM***", "[SPAM {score}]", "[EXTERNAL]", "[⚠ attenzione]", "#suspect")
MARKS = Marks(TAGS)
SPAM = ["[SPAM]"]


def marked(value: bytes, *tags: str) -> bytes:
    return MARKS.marked(value, tags).value


def bare(value: bytes) -> bytes:
    return MARKS.without(value).value


def read(value: bytes) -> str:
    """Return a subject as the standard library's reader of headers shows it."""
    return str(email.header.make_header(email.header.decode_header(value.decode())))


def b(text: str, charset: str = "UTF-8") -> bytes:
    return f"=?{charset}?B?{b64encode(text.encode(charset)).decode()}?=".encode()


# --- putting ---


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (b" offer", b" [SPAM] offer"),
        (b"offer", b"[SPAM] offer"),
        (b" Re: offer", b" [SPAM] Re: offer"),
        (b" Fwd: AW: offer", b" [SPAM] Fwd: AW: offer"),
        (b" =?iso-8859-1?Q?pr=E9stamo?=", b" [SPAM] =?iso-8859-1?Q?pr=E9stamo?="),
        (b" =?utf-8?B?w6k=?=\r\n =?utf-8?B?w6k=?=", b" [SPAM] =?utf-8?B?w6k=?=\r\n =?utf-8?B?w6k=?="),
        (" perché no".encode(), " [SPAM] perché no".encode()),
        (b" pr\xe9stamo", b" [SPAM] pr\xe9stamo"),
        (b" =?x-none?Q?=E9?=", b" [SPAM] =?x-none?Q?=E9?="),
        (b"", b"[SPAM]"),
        (b" ", b" [SPAM]"),
        (b"\r\n\toffer\r\n\tof the day", b"\r\n\t[SPAM] offer\r\n\tof the day"),
    ],
)
def test_a_mark_stands_in_front_and_the_rest_is_as_it_came(value: bytes, wanted: bytes) -> None:
    assert marked(value, "[SPAM]") == wanted


def test_several_marks_stand_in_the_order_of_the_rules() -> None:
    assert marked(b" offer", "[SPAM 7.5]", "[EXTERNAL]") == b" [SPAM 7.5] [EXTERNAL] offer"


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (b" offer", b" " + b("[⚠ attenzione]") + b" offer"),
        (b" =?utf-8?Q?caff=C3=A8?=", b" " + b("[⚠ attenzione] ") + b" =?utf-8?Q?caff=C3=A8?="),
        (" caffè".encode(), " [⚠ attenzione] caffè".encode()),
        (b" caff\xe8", b" " + b("[⚠ attenzione]") + b" caff\xe8"),
        (b"", b("[⚠ attenzione]")),
    ],
    ids=["plain", "encoded", "raw-utf-8", "raw-latin-1", "empty"],
)
def test_a_mark_that_is_not_ascii_is_an_encoded_word_unless_the_subject_is_raw_utf_8(
    value: bytes, wanted: bytes
) -> None:
    new = marked(value, "[⚠ attenzione]")
    assert new == wanted
    assert bare(new) == value
    assert shown(new, 200) == f"[⚠ attenzione] {shown(value, 200)}".strip()


def test_a_blank_is_shown_between_an_encoded_mark_and_an_encoded_subject() -> None:
    assert read(marked(b"=?utf-8?Q?caff=C3=A8?=", "[⚠ attenzione]")) == "[⚠ attenzione] caffè"


def test_encoded_words_are_short_and_hold_whole_characters() -> None:
    text = "⚠è" * 60
    words = encoded_words(text).split()
    assert max(map(len, words)) <= 75
    assert read(b" ".join(words)) == text


# --- taking away ---


@pytest.mark.parametrize(
    "value",
    [
        b" [SPAM] offer",
        b" [spam] offer",
        b" [SPAM]offer",
        b" [SPAM] [SPAM] offer",
        b" [SPAM] ***SPAM*** [EXTERNAL] offer",
        b" [SPAM 12.5] offer",
        b" [SPAM 12,5]  [spam -3] offer",
        b" [ SPAM ]  offer",
        b"   [SPAM]\t offer",
        b" [SPAM]\r\n offer",
        b" *** spam *** offer",
        " [S\u200bPAM] offer".encode(),
        " \ufeff[SPAM] offer".encode(),
        " [SP\u00adAM] offer".encode(),
        b" #Suspect offer",
        b" " + b("[SPAM]") + b" offer",
        b" " + b("[SPAM] ") + b"offer",
        b" " + b("[SP") + b" " + b("AM]") + b" offer",
        b" [SP" + b("AM] ") + b"offer",
        b" =?utf-8?q?=5BSPAM=5D?= offer",
        b" =?utf-7?Q?+AFs-SPAM+AF0-?= offer",
        b" " + b("[SPAM]", "utf-16") + b" offer",
        b" " + b("[⚠ ATTENZIONE]") + b"\r\n offer",
        " [⚠ attenzione] offer".encode(),
        " [⚠\ufe0f attenzione] offer".encode(),
        " [SP\u0410M] offer".encode(),
        " [\u0455\u0440\u0430\u043c] offer".encode(),
        " [S\u03a1\u0391\u039c] offer".encode(),
        " [\ua731\u1d18\u1d00\u1d0d] offer".encode(),
        "\uff3b\uff33\uff30\uff21\uff2d\uff3d offer".encode(),
        " [\U0001d412\U0001d40f\U0001d400\U0001d40c] offer".encode(),
        " [SPÁM] offer".encode(),
        " [S\u0336P\u0336A\u0336M\u0336]\u0301 offer".encode(),
        " [S\u180ePA\u3164M] offer".encode(),
        " [S\u034fP\ufe0fA\U000e0041M] offer".encode(),
        " \u2800\u3164[SPAM] offer".encode(),
        " [EXTERN\u0391L] offer".encode(),
        b" =?macintosh?Q?=5BSPAM=5D?= offer",
        b" =?iso-8859-8-i?Q?=5BSPAM=5D?= offer",
        b" =?x-mac-roman?B?W1NQQU1d?= offer",
        b" =?ks_c_5601-1987?B?W1NQQU1d?= offer",
    ],
)
def test_marks_at_the_front_are_taken_away_however_they_are_written(value: bytes) -> None:
    found = MARKS.without(value)
    assert shown(found.value, 100).strip("\ufeff\u0301\u2800\u3164 ") == "offer"
    assert found.removed


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (b" Re: [SPAM] offer", b" Re: offer"),
        (b" Re:[SPAM] offer", b" Re: offer"),
        (b" Re:[SPAM][SPAM] offer", b" Re: offer"),
        (b" Re: [SPAM]", b" Re: "),
        (b" Re: [SPAM] Fwd: [spam] offer", b" Re: Fwd: offer"),
        (b" AW: WG: [SPAM] offer", b" AW: WG: offer"),
        (b" R: I: [EXTERNAL] offer", b" R: I: offer"),
        (b" Re[2]: [SPAM] offer", b" Re[2]: offer"),
        (b" RE (3) : [SPAM] offer", b" RE (3) : offer"),
        (" 回复\uff1a[SPAM] offer".encode(), " 回复\uff1a offer".encode()),
        (" отв: [SPAM] оплата".encode(), " отв: оплата".encode()),
        (" [Lista] [SP\u0410M] caffè".encode(), " [Lista] caffè".encode()),
        (b" [Lista] [SPAM] Re: offer", b" [Lista] Re: offer"),
        (b" Re: [Lista] [SPAM] offer", b" Re: [Lista] offer"),
        (b" Re: " + b("[SPAM] caffè"), b" Re: " + b("caffè")),
        (b" " + b("Re: [SPAM] caffè"), b" " + b("Re: caffè")),
        (b" Re: " + b("[SPAM]") + b" " + b("caffè"), b" Re: " + b("caffè")),
        (b" [SPAM] " + b(" caffè"), b" " + b(" caffè")),
        (b" [SPAM] caff\xe8", b" caff\xe8"),
        (b" [SPAM]", b" "),
    ],
)
def test_stale_marks_go_from_behind_what_answers_begin_with(value: bytes, wanted: bytes) -> None:
    assert bare(value) == wanted


@pytest.mark.parametrize(
    "value",
    [
        b" offer [SPAM]",
        b" About [SPAM] in subjects",
        b" spam filters",
        b" SPAM: how to stop it",
        b" [SPAMMER] caught",
        b" #suspects arrested",
        b" [12] meeting",
        b" [Lista] Re: offer",
        b" Re: Re: offer",
        b" =?utf-8?Q?caff=C3=A8?= [SPAM]",
        b" [SP[SPAM]AM] offer",
        b" =?x-none?Q?[SPAM]?= offer",
        b"  two  blanks ",
        b"",
        b"\r\n folded\r\n\tthrice",
        "\u0301offer".encode(),
        " спам [SPAM]".encode(),
        " ½ [SPAM]".encode(),
        " 안녕 [SPAM]".encode(),
    ],
)
def test_what_is_no_mark_at_the_front_is_not_touched(value: bytes) -> None:
    assert bare(value) is value
    assert MARKS.marked(value, ()).value is value


def test_without_any_marks_nothing_is_ever_taken() -> None:
    assert Marks(()).without(b" [SPAM] offer").value == b" [SPAM] offer"


def test_it_tells_what_was_taken_each_once() -> None:
    assert MARKS.without(b"[SPAM] [spam  3] [SPAM] x").removed == ("[SPAM]", "[spam  3]")


# --- both ---


@pytest.mark.parametrize("value", [b" [SPAM] offer", b" [SPAM]\r\n offer", b"[SPAM]   offer", b" [SPAM] Re: offer"])
def test_a_subject_that_has_its_mark_is_not_changed_for_the_sake_of_a_blank(value: bytes) -> None:
    assert MARKS.marked(value, SPAM).value is value


def test_an_old_score_gives_way_to_the_new_one() -> None:
    assert marked(b" [SPAM 7.5] offer", "[SPAM 9.1]") == b" [SPAM 9.1] offer"


def test_a_mark_behind_re_moves_to_the_front() -> None:
    assert marked(b" Re: [SPAM] offer", "[SPAM]") == b" [SPAM] Re: offer"


FRONTS = st.sampled_from([
    b" ", b"\t", b"\r\n ", b"Re:", b"Re: ", b"AW:", b"[SPAM]", b"[spam 3.2]", b"***SPAM***", b"[x]", b"[", b"SPAM",
    b"]", b"offer", b"#suspect", b("[SPAM]"), b("[SP"), b("AM] x"), b("Re: "), b(" "), b("caffè"), b("[⚠ attenzione]"),
    b("[⚠ attenzione] "), b"=?utf-8?q??=", b"=?utf-8?q?=FF?=", b"=?utf-8?B?A?=", b"=?x?q?a?=", b"=?utf-8?", b"?=",
    b"\xe9", "è".encode(), b"\x00", "\u200b".encode(), "\xa0".encode(), "\u2028".encode(), b"=?utf-7?Q?+2AA-?=",
    b"\n", b"=?", b"\x01", b"=?utf-8?Q?[SPAM]_=FF?=", "[SP\u0410M]".encode(), "\uff3bSPAM\uff3d".encode(),
    "\u0301".encode(), "\u3164".encode(), "\u0410M] x".encode(), b"=?macintosh?q?[SPAM]_=8E?=", "отв:".encode(),
    b("[SP\u0410M] "), b"=?us-ascii?q?=E9?=",
])  # fmt: skip
SUBJECTS = st.one_of(st.binary(max_size=60), st.lists(FRONTS, max_size=8).map(b"".join))
PUT = st.lists(st.sampled_from(["[SPAM]", "***SPAM***", "[SPAM 7.5]", "[EXTERNAL]", "[⚠ attenzione]", "#suspect"]),
               max_size=3, unique=True)  # fmt: skip


@given(SUBJECTS, PUT)
@example(b"\x0b", ["[SPAM]"])
def test_any_subject_can_be_marked_and_has_its_bytes_again_without(value: bytes, tags: list[str]) -> None:
    plain = bare(value)
    assert bare(plain) == plain
    assert bare(put(plain, tags)) == plain


@given(SUBJECTS, PUT)
def test_to_mark_twice_is_to_mark_once(value: bytes, tags: list[str]) -> None:
    once = marked(value, *tags)
    assert MARKS.marked(once, tags).value is once


@given(SUBJECTS, PUT)
@example(b"\x01=?!?B?", ["[⚠ attenzione]"])
def test_what_comes_out_is_a_sound_field_and_reads_the_same_when_it_comes_again(value: bytes, tags: list[str]) -> None:
    once = MARKS.marked(value, tags).value
    written = header_value(once.strip().decode("utf-8", "surrogateescape"), b"Subject")
    lines = written.split(b"\n")
    assert not any(byte < 32 and byte != 9 for line in lines for byte in line)
    assert all(line[:1] in (b" ", b"\t") and line.strip() for line in lines[1:])
    again = header_value(marked(b" " + written, *tags).strip().decode("utf-8", "surrogateescape"), b"Subject")
    assert shown(again, 500).split() == shown(written, 500).split()


@given(st.text(max_size=60), st.sampled_from(["utf-8", "iso-8859-1", "shift_jis", "utf-16", "koi8-r"]))
def test_an_encoded_subject_reads_the_same_behind_the_mark(text: str, charset: str) -> None:
    word = f"=?{charset}?B?{b64encode(text.encode(charset, 'ignore')).decode()}?=".encode()
    if bare(word) == word:
        assert marked(word, "[SPAM]") == b"[SPAM] " + word


@pytest.mark.parametrize(
    "part",
    [b"[SPAM] ", b"Re: ", b"[SPAM", b"[", b"[ ", b" ", b"=?", b"=?utf-8?q?", b"=?utf-8?q?x?= ", b"\x00", b"[SPAM 1",
     b"(", b"[x]", b"*", b"#suspect ", b"=?utf-8?B?W1NQQU1dIA==?= ", b"\xe2\x80\x8b", b"re", b"re "],
)  # fmt: skip
def test_the_work_is_in_proportion_to_the_length(part: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A subject of 8 MB would take hours by squares; what is beyond the bound is not looked at."""
    monkeypatch.setattr("vaglio.checks.tag.subject.MAX_READ", 200_000)
    value = part * (200_000 // len(part))
    MARKS.marked(value, SPAM)


def test_a_subject_beyond_the_bound_keeps_its_end() -> None:
    value = b" [SPAM] " + b"x" * (2 * MAX_READ)
    assert bare(value) == b" " + b"x" * (2 * MAX_READ)
    assert marked(value[8:], "[SPAM]") == value[1:]


# --- which marks there may be ---


@pytest.mark.parametrize(
    "tag", ["[SPAM]", "***SPAM***", "[SPAM {score}]", "{score} SPAM!", "SPAM:", "⚠", "[⚠]", "[È SPAM]", "#spam"]
)
def test_a_mark_may_look_like_this(tag: str) -> None:
    assert misfit(tag) == ""


@pytest.mark.parametrize(
    ("tag", "wanted"),
    [
        ("", "1 to 40 characters"),
        ("[" + "x" * 40, "1 to 40 characters"),
        (" [SPAM]", "no blank at its ends"),
        ("[SP\nAM]", "that can be seen"),
        ("=?utf-8?q?x?=", 'no "=?"'),
        ("[{points}]", "nothing but {score}"),
        ("[x {score} {score}]", "once at most"),
        ("[x {score]", "nothing but {score}"),
        ("SPAM", "begins or ends with a bracket"),
        ("SPAM {score}", "begins or ends with a bracket"),
        ("[{score}]", "a letter in it"),
        ("***", "a letter in it"),
        ("[\u0301]", "a letter in it"),
        ("\u3164", "a letter in it"),
        ("\u2800SPAM\u2800", "begins or ends with a bracket"),
    ],
)
def test_a_mark_that_would_do_harm_is_refused(tag: str, wanted: str) -> None:
    assert wanted in misfit(tag)


@pytest.mark.parametrize(
    ("tag", "score", "wanted"),
    [("[SPAM]", 3.0, "[SPAM]"), ("[SPAM {score}]", 7.449, "[SPAM 7.4]"), ("[SPAM {score}]", None, "[SPAM]"),
     ("[SPAM {score}]", -1.0, "[SPAM -1.0]")],
)  # fmt: skip
def test_the_score_is_filled_in(tag: str, score: float | None, wanted: str) -> None:
    assert filled(tag, score) == wanted
    assert Marks([tag]).without(wanted.encode() + b" x").value == b"x"


def test_a_mark_in_another_script_is_found_too() -> None:
    marks = Marks(["[СПАМ]", "[⚠\ufe0f]"])
    for value in ("[СПАМ] x", "[cпam] x", "[⚠] x", "[⚠\ufe0f] [спам] x"):
        assert marks.without(value.encode()).value == b"x"


@given(st.text(max_size=40))
def test_what_a_text_looks_like_has_a_character_for_each_of_its_own(text: str) -> None:
    seen = as_seen(text)
    assert len(seen) == len(text)
    assert as_seen(seen) == seen or text.isascii()


def test_any_two_marks_can_stand_side_by_side() -> None:
    texts = ["[SPAM]", "***SPAM***", "[SPAM 7.5]", "[EXTERNAL]", "#suspect"]
    for pair in itertools.permutations(texts, 2):
        assert bare(marked(b" offer", *pair)) == b" offer"


def test_letters_of_no_charset_are_shown_as_mail_programs_show_them() -> None:
    assert shown(b" Perch\xe9 no, citt\xe0", 100) == "Perché no, città"
