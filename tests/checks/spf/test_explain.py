from __future__ import annotations

import pytest

from vaglio.checks.spf.decide import Reason
from vaglio.checks.spf.explain import brief, explain
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


@pytest.mark.parametrize(
    ("allowed", "told"),
    [
        ("nothing", "che ammette niente"),
        ("mx", "che ammette mx"),
        ("a, mx and include:_spf.example.net", "che ammette a, mx e include:_spf.example.net"),
        ("a, mx, ip4:192.0.2.1, ip4:192.0.2.2, ip4:192.0.2.3 and 12 more", "ip4:192.0.2.3 e altri 12"),
    ],
)
def test_what_a_record_allows_is_said_in_the_language_of_the_rest(allowed: str, told: str) -> None:
    assert told in explain("fail", {**FACTS, "allows": allowed}, "it", False)[0]
    assert f"which allows {allowed}." in explain("fail", {**FACTS, "allows": allowed}, "en", False)[0]


def test_a_client_is_not_sent_to_hosts_of_a_record_that_allows_none() -> None:
    assert "or send through a host" in explain("fail", FACTS, "en", False)[1]
    then = explain("fail", {**FACTS, "allows": "nothing"}, "en", False)[1]
    assert then.endswith("the admin of tizio.it: add ip4:192.0.2.7 to the record.")


def test_nobody_is_to_publish_a_record_for_no_domain() -> None:
    facts: dict[str, Fact] = {"result": "none", "domain": "", "problem": "there is no domain", "identity": "mailfrom"}
    assert explain("none", facts, "en", False)[1] == "It passed on."


@pytest.mark.parametrize(
    ("facts", "clause"),
    [
        ({"result": "pass", "domain": "tizio.it"}, "SPF pass for tizio.it"),
        ({"result": "none", "domain": "", "problem": "there is no domain"}, "SPF none (there is no domain)"),
        ({"result": "none"}, "SPF none"),
        ({}, ""),
    ],
)
def test_a_clause_of_the_story_names_a_domain_only_where_there_is_one(facts: dict[str, Fact], clause: str) -> None:
    assert brief("none", facts, "en") == clause
