"""Many patterns and keywords at once: the same answers as one by one, no silence where RE2 has no room, linear time."""

from __future__ import annotations

import random
import re
import time
from typing import Any

import pytest
import re2
from hypothesis import given
from hypothesis import strategies as st

from vaglio.checks.score import patterns
from vaglio.checks.score.patterns import MAX_DETAIL, MAX_SCANNED, KeywordSet, PatternSet, read_pattern

TEXTS = st.text(st.sampled_from("abcdé .-\n\udc80\0ßK"), max_size=60)
PIECES = st.sampled_from(["a", "b", "c.", "é", "[ab]", r"\s", "d?", "(?:ab|c)", ".{0,3}", r"\b", "^", "$", "x*"])
SOURCES = st.lists(PIECES, min_size=1, max_size=6).map("".join)


def found(sources: list[str], *texts: str) -> dict[int, str]:
    return PatternSet([read_pattern(source) for source in sources]).find(texts)


def test_all_patterns_that_fit_are_found_with_what_was_found() -> None:
    assert found(["m.ney", "gold", "FREE"], "My money is free", "Gold") == {0: "money", 1: "Gold", 2: "free"}


def test_letter_case_counts_where_it_is_asked_for() -> None:
    assert PatternSet([read_pattern("Free|GOLD", True)]).find(["free gold"]) == {}
    assert PatternSet([read_pattern("Free|GOLD", True)]).find(["GOLD"]) == {0: "GOLD"}
    assert PatternSet([read_pattern("è|gratis")]).find(["È VERO"]) == {0: "È"}


def test_patterns_see_each_text_by_itself() -> None:
    assert found(["^a$", "a.*b", "a\nb"], "a", "b") == {0: "a"}


@given(st.lists(SOURCES, min_size=1, max_size=8), st.lists(TEXTS, max_size=3))
def test_many_patterns_find_what_each_finds_by_itself(sources: list[str], texts: list[str]) -> None:
    alone = {n for n, source in enumerate(sources) if found([source], *texts)}
    assert found(sources, *texts).keys() == alone
    plain = [re2.compile(f"(?i){source}".encode()) for source in sources]
    data = [text.encode("utf-8", "replace") for text in texts]
    assert alone == {n for n, one in enumerate(plain) if any(one.search(each) for each in data)}


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("(free", r"missing \)"),
        ("a(?=b)", "RE2 takes"),
        (r"(a)\1", "RE2 takes"),
        ("[z-a]", "RE2 takes"),
        ("\udc80", "a pattern"),
        ("x" * (patterns.MAX_PATTERN + 1), "at most 1000 characters"),
        (".{900}", "a smaller pattern|too large"),
        ("((a{100}){100}){100}", "RE2 takes"),
    ],
)
def test_a_pattern_that_can_not_be_is_refused_in_words(source: str, wanted: str, capfd: Any) -> None:
    if source == "\udc80":  # a lone surrogate: it is read as "?", which repeats nothing
        source = "*\udc80"
    with pytest.raises(ValueError, match=wanted):
        read_pattern(source)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("text", ["", "\0", "\udc80\udfff", "\U0010ffff", "a" * 300, "é" * MAX_SCANNED])
def test_any_text_can_be_looked_at(text: str) -> None:
    assert found(["needle", "^$"], text).keys() == ({1} if not text else set())


def test_a_filter_without_room_finds_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(re2.Filter):  # type: ignore[misc]  # the library has no types
        def Match(self, text: bytes, potential: bool = False) -> None:
            return None

    monkeypatch.setattr(re2, "Filter", Broken)
    assert found(["money", "gold", "^x"], "x gold", "money") == {0: "money", 1: "gold", 2: "x"}


def test_more_patterns_than_a_filter_takes_are_found_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Any) -> None:
        raise re2.error("failed to compile Filter")

    monkeypatch.setattr(re2.Filter, "Compile", refuse)
    assert found(["money", "gold"], "gold") == {1: "gold"}


def test_what_was_found_is_cut() -> None:
    assert found([r"a\w+"], "a" + "b" * 1000) == {0: "a" + "b" * (MAX_DETAIL - 1)}
    assert len(found([".+"], "€" * 1000)[0]) == MAX_DETAIL


def test_nothing_is_looked_for_beyond_the_bound() -> None:
    assert found(["needle"], " " * MAX_SCANNED + "needle") == {}
    assert found(["needle"], " " * (MAX_SCANNED - 6) + "needle") == {0: "needle"}
    assert found(["needle"], *["x"] * patterns.MAX_TEXTS, "needle") == {}


def test_hostile_text_costs_time_in_line_with_its_length() -> None:
    words = ["free", "money", "prize", "loan", "bank", "casino", "crypto", "urgent"]
    chosen = random.Random(1)
    gaps = [rf"{chosen.choice(words)}\b.{{0,40}}\b{chosen.choice(words)}s{n}" for n in range(20)]
    one = PatternSet([read_pattern(source) for source in [*gaps, "(x+x+)+y", "(?:a*)*b"]])

    def seconds(length: int) -> float:
        text = " ".join(chosen.choice(words) for _ in range(length))[:length]
        text += "".join(f" {word}s{n}" for word in words for n in range(20))
        start = time.process_time()
        one.find([text, "x" * length, "a" * length])
        return time.process_time() - start

    seconds(1000)
    assert seconds(64_000) < 12 * min(seconds(16_000) for _ in range(3)) + 0.05


# --- keywords ---


def words(text: str, *lists: list[str]) -> dict[int, list[str]]:
    return {number: list(listed) for number, listed in KeywordSet(lists).find(text).items()}


def test_words_are_whole_and_told_once() -> None:
    assert words("Sex in Essex, sex!", ["sex", "in Essex", "win"]) == {0: ["sex", "in essex"]}
    assert words("Essex unisex sexy", ["sex"]) == {}
    assert words("Essex and sex", ["sex"]) == {0: ["sex"]}


def test_a_word_may_be_in_several_lists() -> None:
    assert words("gratis", ["gratis", "free"], ["gratis"]) == {0: ["gratis"], 1: ["gratis"]}


def test_letter_case_does_not_count_and_accents_do() -> None:
    assert words("CITTÀ PIÙ STRASSE", ["città", "piu", "straße"]) == {0: ["città", "strasse"]}
    assert words("cittàx", ["città"]) == {}
    assert words("ècittà", ["città"]) == {}


def test_a_phrase_goes_over_a_line_end() -> None:
    assert words("please click\nhere", ["click here"]) == {0: ["click here"]}
    assert words("click\xa0here", ["click here"]) == {0: ["click here"]}


def test_signs_in_words_are_only_signs() -> None:
    assert words("100% free. a.b", ["100% free", "a.b", "axb", "a\0b"]) == {0: ["100% free", "a.b"]}


@given(st.lists(st.text("ab ", min_size=1, max_size=4), min_size=1, max_size=6), st.text("abc \n", max_size=40))
def test_keywords_are_found_as_a_plain_search_finds_them(listed: list[str], text: str) -> None:
    flat = text.replace("\n", " ")
    wanted = {word for word in listed if re.search(rf"(?<![abc]){re.escape(word)}(?![abc])", flat)}
    assert set(words(text, listed).get(0, [])) == wanted


def test_keywords_are_found_where_re2_has_no_room() -> None:
    listed = [f"word{n}" for n in range(3000)]
    assert KeywordSet([listed], memory=1000).find("x word7 word77x") == {0: ["word7"]}
    assert KeywordSet([listed]).find("x word7 word77x") == {0: ["word7"]}


def test_a_text_full_of_keywords_costs_time_in_line_with_its_length() -> None:
    one = KeywordSet([["a" * n for n in range(1, 30)] + ["ab", "ba ab"]])

    def seconds(length: int) -> float:
        start = time.process_time()
        for text in ("a" * length, "ab" * (length // 2), "ba" * (length // 2), "a " * (length // 2)):
            one.find(text)
        return time.process_time() - start

    seconds(1000)
    assert seconds(64_000) < 12 * min(seconds(16_000) for _ in range(3)) + 0.05
