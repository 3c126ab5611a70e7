"""What the admin is told of a list that is suspended, or is back."""

from __future__ import annotations

import pytest

from vaglio.blocklists.answers import Trouble
from vaglio.blocklists.health import News, Status
from vaglio.blocklists.words import teller, trouble_text

NOW = 1_790_000_000
SUSPENDED = Status("bl", "silent", NOW, "timeout")


@pytest.mark.parametrize(
    ("seconds", "told"), [(30, "0 minutes"), (90, "1 minute"), (150, "2 minutes"), (-5, "0 minutes")]
)
def test_a_list_that_is_back_is_told_of_with_its_time(seconds: int, told: str) -> None:
    warned: list[str] = []
    heard: list[str] = []
    teller("dnsbl", warned.append, heard.append)(News(Status("bl", since=NOW + seconds), SUSPENDED))
    assert (warned, heard) == ([], [f"the list bl is back after {told}"])


def test_a_suspended_list_is_warned_of_with_what_to_do() -> None:
    warned: list[str] = []
    teller("dnsbl", warned.append, print)(News(SUSPENDED, Status("bl")))
    assert len(warned) == 1
    assert warned[0].startswith("the list bl is suspended: it does not answer (timeout). Nobody is refused by it")


@pytest.mark.parametrize("trouble", Trouble)
def test_every_trouble_has_its_words_and_names_the_section_that_it_is_about(trouble: Trouble) -> None:
    what, then = trouble_text(trouble, "127.0.0.9", "score.links")
    assert "(127.0.0.9)" in what
    assert then
    assert ("score.links.lists" in then) == (trouble is Trouble.LISTS_NOBODY)
