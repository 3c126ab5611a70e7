"""How the admin is told: which ways can be set, and that a webhook's URL is shown to nobody."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from vaglio.config.describe import show, show_json
from vaglio.config.load import load
from vaglio.config.model import Alert


@pytest.mark.parametrize(
    "url",
    [
        "",
        "https://chat.example.org",
        "http://127.0.0.1:8065/hooks/abc",
        "https://[2001:db8::1]:8443/",
        "https://tizio:p%40ss:w0rd!@hooks.example.org/a/b?token=x&y=%20",
        "https://hooks.example.org?token=x",
    ],
)
def test_a_webhook_is_an_address_of_the_web(url: str) -> None:
    assert Alert(webhook=url).webhook == url


@pytest.mark.parametrize(
    "url",
    [
        "hooks.example.org/a",
        "ftp://hooks.example.org/a",
        "https:///a",
        "https://hooks.example.org:443000/a",
        "https://hooks.example.org:port/a",
        "https://hooks.example.org/a b",
        "https://hooks.example.org/a\nHost: x",
        "https://hooks.example.org/così",
        "https://hooks.example.org/a#b",
        "https://tizio:12/34@hooks.example.org/a",
        "https://tizio:12?34@hooks.example.org/a",
        "https://tizio:12#34@hooks.example.org/a",
    ],
)
def test_what_could_not_be_posted_to_or_would_give_a_password_away_is_refused(url: str) -> None:
    with pytest.raises(ValidationError):
        Alert(webhook=url)


@pytest.mark.parametrize("path", ["sendmail", "/usr/sbin/sendmail -t", "/usr/sbin/send\nmail"])
def test_a_sendmail_command_is_an_absolute_path_without_arguments(path: str) -> None:
    with pytest.raises(ValidationError):
        Alert(sendmail=path)


def test_a_webhook_is_shown_to_nobody(tmp_path: Path) -> None:
    path = tmp_path / "vaglio.toml"
    path.write_text('alert.webhook = "https://hooks.example.org/s3cret"\n')
    loaded = load(path, {})
    assert loaded.config.alert.webhook.endswith("/s3cret")
    assert "s3cret" not in f"{show(loaded)}{show_json(loaded)}{loaded.config!r}"
