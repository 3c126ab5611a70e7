from __future__ import annotations

import pytest

from vaglio.checks.spf.decide import Reason
from vaglio.checks.spf.explain import explain
from vaglio.verdict import Fact

FACTS: dict[str, Fact] = {
    "ip": "192.0.2.7", "identity": "mailfrom", "domain": "tizio.it", "result": "fail", "mechanism": "-all",
    "allows": "mx", "add": "ip4:192.0.2.7", "by": "x", "problem": "y", "author": "z.it", "dmarc": "reject",
    "backup_mx": "mx.caio.it", "forwarder": "f.it", "helo": "h.it",
}  # fmt: skip


@pytest.mark.parametrize("language", ["en", "it"])
@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_its_words(reason: Reason, language: str) -> None:
    why, then = explain(reason, FACTS, language, False)
    assert why
    assert "?" not in why + then
    assert "{" not in why + then


def test_braces_of_strangers_mean_nothing() -> None:
    why, _ = explain("fail", {**FACTS, "theirs": "{ip} {nothing}"}, "en", False)
    assert "{ip} {nothing}" in why


def test_facts_that_an_older_entry_lacks_read_as_unknown() -> None:
    assert explain("fail", {}, "en", False)[0].startswith("? is not in the SPF record of ?")


def test_a_rehearsal_says_so() -> None:
    assert "This is a rehearsal" in explain("fail", FACTS, "en", True)[1]
    assert "È una prova" in explain("fail", FACTS, "it", True)[1]
