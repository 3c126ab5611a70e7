"""The commands of the milters, up to where a daemon would start."""

from __future__ import annotations

import sys

import pytest
from vaglio_milters import chain, spf_verify


@pytest.mark.parametrize("words", [[], ["--config", "/etc/vaglio/vaglio.toml"], ["--workers", "2"]])
def test_a_chain_without_a_name_is_asked_for_it(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["vaglio-chain", *words])
    assert chain.main() == 2
    out, err = capsys.readouterr()
    assert (out, err.partition(" as in")[0]) == (
        "", "vaglio-chain: say first which chain: inbound, outbound, or one of your own,",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("main", "command"), [(chain.main, "vaglio-chain inbound --config"), (spf_verify.main, "vaglio-spf --config")]
)
def test_help_shows_examples(
    main: object, command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert callable(main)
    monkeypatch.setattr(sys, "argv", ["x", "--help"])
    with pytest.raises(SystemExit, match="0"):
        main()
    out = capsys.readouterr().out
    assert "examples:\n  vaglio-" in out
    assert f"\n  {command} ./vaglio.toml --listen inet:127.0.0.1:" in out
