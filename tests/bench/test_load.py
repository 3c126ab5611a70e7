"""The load generator: what it asks, and how it counts."""

from __future__ import annotations

from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.load import (
    RECIPIENTS,
    Outcome,
    Requests,
    Triplet,
    _parser,
    action_of,
    indices,
    percentile,
    requests_of,
    summary,
    triplet,
)
from vaglio.checks.greylist.pool import fold_sender
from vaglio.facts import Facts, Stage
from vaglio.policy.parse import Parser, facts_of


def some(count: int, *arguments: str) -> list[int]:
    return list(islice(indices(_parser().parse_args([*arguments, "inet:127.0.0.1:1"])), count))


def test_a_triplet_is_the_same_in_every_run_and_in_the_c_program() -> None:
    assert triplet(0) == Triplet("11.0.0.88", "mail-a.example.net", "a@a.example.org", "gt@example.com")


def test_triplets_differ_in_network_and_in_sender() -> None:
    made = [triplet(index) for index in range(3000)]
    assert len({one.address.rpartition(".")[0] for one in made}) == 3000
    assert len({fold_sender(one.sender) for one in made}) == 3000
    assert len({one.recipient for one in made}) == RECIPIENTS


def test_a_request_is_what_the_parser_takes_and_has_all_attributes() -> None:
    request = Requests({}).request(7)
    (attributes,) = Parser().feed(request)
    facts = facts_of(attributes)
    assert len(attributes) == 29
    assert facts.session.missing == ()
    assert facts.session.stage is Stage.RCPT
    assert (facts.client.address, facts.client.name, facts.envelope.sender, facts.envelope.recipient) == triplet(7)


def test_each_request_is_a_message_of_its_own() -> None:
    requests = Requests({})
    instances = {Parser().feed(requests.request(1))[0]["instance"] for _ in range(50)}
    assert len(instances) == 50


def test_a_fixed_attribute_is_in_every_request_and_a_new_one_is_added() -> None:
    requests = Requests({"client_name": "unknown", "mail_version": "3.8.%d"})
    (attributes,) = Parser().feed(requests.request(3))
    assert attributes["client_name"] == "unknown"
    assert attributes["mail_version"] == "3.8.%d"
    assert attributes["helo_name"] == triplet(3).name


def asked(*arguments: str, count: int = 1) -> list[Facts]:
    requests = requests_of(_parser().parse_args([*arguments, "inet:127.0.0.1:1"]))
    return [facts_of(Parser().feed(requests.request(7))[0]) for _ in range(count)]


def test_requests_are_about_recipients_of_clients_that_have_not_logged_in() -> None:
    (facts,) = asked()
    assert (facts.session.stage, facts.session.sasl_username, facts.envelope.recipient_count) == (Stage.RCPT, "", 0)


def test_users_that_have_logged_in_take_turns_by_chance() -> None:
    logins = {facts.session.sasl_username for facts in asked("--sasl", "1", "--users", "3", count=60)}
    assert logins == {"user0@example.com", "user1@example.com", "user2@example.com"}


def test_at_the_end_of_a_message_the_number_of_recipients_is_known() -> None:
    (facts,) = asked("--state", "END-OF-MESSAGE")
    assert facts.session.stage is Stage.END_OF_MESSAGE
    assert facts.envelope.recipient_count == 1
    assert facts.session.queue_id


def test_new_triplets_begin_behind_the_pool_or_where_it_is_said() -> None:
    assert some(3) == [10_000, 10_001, 10_002]
    assert some(2, "--first-new", "5") == [5, 6]


def test_filling_asks_about_each_triplet_of_the_pool_in_order() -> None:
    assert some(5, "--fill", "-T", "3") == [0, 1, 2, 0, 1]


def test_repeating_stays_within_the_pool() -> None:
    assert set(some(200, "-R", "1", "-T", "4")) == {0, 1, 2, 3}


def test_half_repeated_is_a_mixture() -> None:
    made = some(400, "-R", "0.5", "-T", "10")
    assert 100 < sum(index < 10 for index in made) < 300


@pytest.mark.parametrize(
    ("answer", "action"),
    [
        (b"action=DUNNO\n\n", "DUNNO"),
        (b"action=DEFER_IF_PERMIT 4.7.1 later\n\n", "DEFER_IF_PERMIT"),
        (b"action=\n\n", ""),
        (b"nonsense\n\n", ""),
    ],
)
def test_an_answer_counts_by_its_first_word(answer: bytes, action: str) -> None:
    assert action_of(answer) == action


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=50), st.floats(0.01, 1))
def test_a_percentile_is_the_smallest_value_that_enough_do_not_exceed(values: list[float], share: float) -> None:
    values.sort()
    found = percentile(values, share)
    assert sum(value <= found for value in values) >= share * len(values)
    assert sum(value < found for value in values) < share * len(values)


def test_the_summary_leaves_the_warm_up_out() -> None:
    outcome = Outcome(begin=100.0)
    outcome.answered(99.9, 100.1, b"action=DUNNO\n\n")
    for number in range(10):
        outcome.answered(100.0 + number, 100.5 + number, b"action=DUNNO\n\n")
    outcome.answered(111.0, 111.1, b"?\n\n")
    found = summary(outcome, "inet:127.0.0.1:1", 1)
    assert (found["requests"], found["seconds"], found["actions"]) == (10, 9.5, {"DUNNO": 10})
    assert found["latency_us"]["p50"] == 500_000
    assert found["errors"]["malformed"] == 1
