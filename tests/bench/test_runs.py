"""What benchmarks reckon from their runs."""

from __future__ import annotations

import pytest

from bench.generator import Measured
from bench.runs import at_the_same_cost


def test_two_workers_can_have_what_one_leaves_of_two_cores() -> None:
    one = Measured(rate=20_000, p50=0.5, p99=1.0, cpu=40.0, other=0.0, load=10.0)
    assert at_the_same_cost([one, one._replace(load=60.0)]) == pytest.approx((2.0, 1.0))
