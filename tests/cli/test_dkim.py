"""``vaglio dkim verify``."""

from __future__ import annotations

import base64
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.checks.dkim.samples import BODY, HEADER, NAME, NOW, record, rsa, sign
from vaglio.cli.main import main
from vaglio.examination import Field

Verify = Callable[..., dict[str, Any]]


def written(*more: Field) -> bytes:
    lines = [name + b":" + value for name, value in (*more, *HEADER)]
    return b"\n".join([*lines, b"", BODY.replace(b"\r\n", b"\n")])


@pytest.fixture
def zone(tmp_path: Path) -> str:
    path = tmp_path / "dkim.json"
    path.write_text(json.dumps({NAME: [["TXT", [record(rsa())[:200], record(rsa())[200:]]]],
                                "due._domainkey.tizio.it": [["*", "TIMEOUT"]]}))  # fmt: skip
    return str(path)


@pytest.fixture
def verify(zone: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Verify:
    config = tmp_path / "vaglio.toml"
    config.write_text('[dkim.verify.policies]\nfail = "reject"')

    def run(message: bytes, *words: str) -> dict[str, Any]:
        file = tmp_path / "message.eml"
        file.write_bytes(message)
        assert main(["dkim", "verify", str(file), *words, "--zone", zone, "--config", str(config), "--json"]) == 0
        document: dict[str, Any] = json.loads(capsys.readouterr().out)
        return document

    return run


def test_a_good_signature(verify: Verify) -> None:
    found = verify(written(sign(c="relaxed/relaxed")))
    [one] = found["signatures"]
    assert (found["result"], found["author_domain"]) == ("pass", "tizio.it")
    assert (one["result"], one["domain"], one["selector"]) == ("pass", "tizio.it", "uno")
    assert one["algorithm"] == "rsa-sha256"
    assert (one["reason"], one["problem"], one["key_bits"], one["advice"]) == ("pass", "", 1024, "")


def test_line_ends_do_not_matter(verify: Verify) -> None:
    message = written(sign()).replace(b"\n", b"\r\n")
    assert verify(message)["result"] == "pass"


def test_what_is_wrong_and_who_must_do_what(verify: Verify) -> None:
    found = verify(written(sign(), sign(s="due"), sign(s="tre")) + b"more\n")
    assert [one["reason"] for one in found["signatures"]] == ["body-changed", "dns-failed", "no-key"]
    assert found["signatures"][2]["advice"].endswith("publish the DNS record tre._domainkey.tizio.it.")
    assert found["policy"] == {"action": "pass", "reason": "dns-failed", "by": ""}
    found = verify(written(sign()) + b"more\n")
    assert found["policy"] == {"action": "reject", "reason": "body-changed", "by": "dkim.verify.policies.fail"}


def test_the_time_can_be_told(verify: Verify) -> None:
    message = written(sign(x=str(NOW)))
    assert verify(message, "--now", str(NOW))["result"] == "pass"
    assert verify(message, "--now", str(NOW + 1000))["signatures"][0]["reason"] == "expired"


def test_a_message_without_signatures(verify: Verify) -> None:
    assert verify(written()) == {
        "result": "none", "author_domain": "tizio.it", "signatures": [],
        "policy": {"action": "pass", "reason": "unsigned", "by": ""},
    }  # fmt: skip


@pytest.mark.parametrize("data", [b"", b"\0\xff\x07random", b"A letter\nwithout a header\n", b"\nSubject: body\n"])
def test_what_has_no_header_is_no_message(
    data: bytes, zone: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "message.eml"
    file.write_bytes(data)
    assert main(["dkim", "verify", str(file), "--zone", zone]) == 1
    assert capsys.readouterr() == ("", f"vaglio: {file}: this is no message: no header found\n")


def test_a_record_of_ed25519_without_its_kind_is_named(verify: Verify, zone: str) -> None:
    key = base64.b64encode(bytes(range(32))).decode()
    Path(zone).write_text(json.dumps({NAME: [["TXT", [f"v=DKIM1; p={key}"]]]}))
    [one] = verify(written(sign()))["signatures"]
    assert "has no k=, which means RSA: the key, of 32 bytes, needs k=ed25519" in one["problem"]


def test_in_words_from_standard_input(
    zone: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = tmp_path / "vaglio.toml"
    config.write_text('[dkim.verify.policies]\nfail = "reject"')
    words = ["dkim", "verify", "-", "--zone", zone, "--config", str(config)]
    for message, told in (
        (written(sign()), "pass: tizio.it (selector uno, rsa-sha256, key of 1024 bits)\n"),
        (written(), "none: the message has no DKIM signature\n"),
        (written(sign()) + b"x", "leads to: reject (dkim.verify.policies.fail)\n"),
    ):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(message)))
        assert main(words) == 0
        assert told in capsys.readouterr().out


def test_a_file_that_is_not_there(zone: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dkim", "verify", "/nowhere/message.eml", "--zone", zone]) == 1
    assert "/nowhere/message.eml: " in capsys.readouterr().err
