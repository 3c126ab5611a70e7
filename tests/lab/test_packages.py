"""Packages that are unpacked and not installed."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab import packages
from lab.waiting import Unavailable


def test_a_package_that_apt_does_not_know_is_unavailable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(packages, "HOME", tmp_path)
    with pytest.raises(Unavailable, match=r"vaglio-has-no-such-package|Debian and Ubuntu only"):
        packages.unpacked("vaglio-has-no-such-package")
    assert list(tmp_path.iterdir()) == []


def test_what_is_unpacked_already_is_not_fetched_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(packages, "HOME", tmp_path)
    monkeypatch.setattr(packages, "_MACHINE", (Path(__file__),))
    monkeypatch.setattr(packages, "_run", lambda *_, **__: pytest.fail("apt was asked"))
    place = tmp_path / f"one+two.{packages._fingerprint()}"
    place.mkdir()
    assert packages.unpacked("one", "two") == place


def test_libraries_are_found_wherever_they_lie(tmp_path: Path) -> None:
    for name in ("usr/lib/x86_64-linux-gnu/libwrap.so.0", "lib/aarch64/libwrap.so.0.7"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    assert packages.libraries(tmp_path) == f"{tmp_path}/lib/aarch64:{tmp_path}/usr/lib/x86_64-linux-gnu"
