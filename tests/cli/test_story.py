"""A decision in words, whichever check it is of."""

from __future__ import annotations

import pytest

from vaglio.cli.story import explain
from vaglio.journal.entry import Entry

PASSED = Entry("G7K2-9QFD", 0.0, "chain.inbound", "chain", "pass", reason="passed")


@pytest.mark.parametrize(("language", "said"), [
    ("en", "Forged results in our name that it brought along: 2."),
    ("it", "Risultati contraffatti a nostro nome che portava con sé: 2."),
])
def test_forged_results_are_told_of(language: str, said: str) -> None:
    assert explain(PASSED._replace(facts={"forged": 2}), language) == (said, "")
    assert explain(PASSED, language) == ("passed", "")
