"""What is made of a generator's figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench.generator import MILTER, POLICY, Measured, Program, alike, complain, find, measured
from bench.servers import BenchError


def figures(**changes: Any) -> dict[str, Any]:
    return {
        "requests": 2000,
        "requests_per_s": 1000.0,
        "seconds": 2.0,
        "latency_us": {"p50": 900.0, "p99": 2500.0},
        "actions": {"DUNNO": 2000},
        "errors": {"connect": 0, "closed": 0, "timeout": 0, "malformed": 0},
        "retries": 0,
        **changes,
    }


def test_the_servers_time_is_shared_by_all_requests_also_those_of_the_warm_up() -> None:
    found = measured(figures(), warmup=0.5, served=0.25, other=0.01, load=0.125)
    assert found == Measured(1000.0, 0.9, 2.5, 100.0, 0.01, answers=2000, load=50.0)


def test_answers_of_the_right_kind_are_no_reason_to_complain() -> None:
    complain(figures(), "DUNNO", "vaglio")
    complain(figures(actions={"DUNNO": 10, "450": 1990}), "DUNNO 450", "vaglio")


@pytest.mark.parametrize(
    "changes",
    [{"errors": {"closed": 1}}, {"retries": 1}, {"actions": {"DUNNO": 1, "PREPEND": 1}}, {"actions": {}}],
)
def test_figures_of_failed_or_other_answers_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(BenchError, match="vaglio: wanted DUNNO"):
        complain(figures(**changes), "DUNNO", "vaglio")


def test_figures_of_milters_have_the_names_of_the_others() -> None:
    wanted = figures(modifications={"insert_header": 2000}, actions={"continue": 2000})
    names = {"requests": "messages", "requests_per_s": "messages_per_s", "latency_us": "message_us", "actions": "final"}
    told = {names.get(key, key): value for key, value in wanted.items() if key != "retries"}
    assert alike(told) == wanted
    assert alike(wanted) == wanted


@pytest.mark.parametrize("program", [POLICY, MILTER])
def test_a_generator_that_cannot_be_run_is_an_error(
    program: Program, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(program.variable, str(tmp_path / "none"))
    with pytest.raises(BenchError, match="can't be run"):
        find(tmp_path, program)


@pytest.mark.parametrize(("program", "own"), [(POLICY, "load"), (MILTER, "milterload")])
def test_without_a_c_program_our_own_serves(
    program: Program, own: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv(program.variable, raising=False)
    monkeypatch.chdir(tmp_path)
    assert find(tmp_path, program).command[1:] == ("-m", f"bench.{own}")
