"""The benchmark of scoring: what it counts as an error, and how it sums up messages that were judged one by one."""

from __future__ import annotations

import pytest

from bench.score import SUBJECT, Errors, errors, missed, one_by_one
from bench.scoreservers import PEERS, Judged, Scored


def test_spam_is_what_scores_five_or_more() -> None:
    ham, spam = (4.99, 5.0, -1.0, 7.2), (5.0, 4.9, 30.0)
    assert errors({"ham": [*map(Scored, ham)], "spam": [*map(Scored, spam)]}) == Errors(false_alarms=2, misses=1)
    assert errors({"ham": [], "spam": []}) == Errors(0, 0)


def test_what_bayes_misses_is_counted_at_a_share_of_false_alarms() -> None:
    ham, spam = (0.0, 0.1, 0.2, 0.9), (0.05, 0.2, 0.9, 1.0)
    scored: Judged = {"ham": [Scored(0, 0, one) for one in ham], "spam": [Scored(0, 0, one) for one in spam]}
    assert missed(scored, 0.0) == 75  # what is as probable as that ham is not told from it
    assert missed(scored, 0.25) == 50
    assert missed(scored, 0.5) == 25


def test_the_rate_of_messages_one_by_one_is_that_of_their_mean() -> None:
    found = one_by_one([0.010] * 98 + [0.020, 1.0], processor=0.5)
    assert found.rate == pytest.approx(100 / 2.0)
    assert found.p50 == pytest.approx(10)
    assert 20 <= found.p99 <= 1000
    assert found.cpu == pytest.approx(5000)


def test_the_peers_versions_are_told() -> None:
    assert SUBJECT.packages == tuple(PEERS) == ("spamassassin", "spamd", "rspamd", "bogofilter")
