"""The signed messages of the benchmark are good, and the hostile ones are what they are said to be."""

from __future__ import annotations

import re
from pathlib import Path

import dkim
import pytest

from bench import messages, signed
from bench.mailserver import parts
from bench.signed import ED25519, HUGE, RSA, Keys


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return signed.make_keys(tmp_path_factory.mktemp("signed") / "keys")


def holds(message: bytes, keys: Keys, number: int = 0) -> bool:
    def ask(name: bytes, timeout: int = 5) -> bytes:
        return keys.records[name.decode().rstrip(".")].encode()

    return bool(dkim.DKIM(message.replace(b"\n", b"\r\n")).verify(number, dnsfunc=ask))


@pytest.mark.parametrize("selector", [RSA, ED25519])
def test_another_program_finds_the_signatures_good(keys: Keys, selector: str) -> None:
    assert holds(signed.sign(messages.medium(), [keys.signers[selector]]), keys)


def test_messages_of_all_sizes_are_signed(keys: Keys, tmp_path: Path) -> None:
    found = signed.write(tmp_path / "signed", keys.signers[RSA])
    files = [*found.pop("mixed").glob("*.eml"), *found.values()]
    assert len(files) == 23
    assert all(file.read_bytes().count(b"DKIM-Signature: ") == 1 for file in files)


def test_private_keys_are_read_by_nobody_else(keys: Keys) -> None:
    assert set(keys.files) == {RSA, ED25519}
    assert all(file.stat().st_mode & 0o777 == 0o600 for file in keys.files.values())


def test_hostile_messages_are_what_they_are_said_to_be(keys: Keys) -> None:
    blanks, spaced, huge, many, most = signed.hostile(keys.signers[RSA])
    assert parts(blanks.message)[1].count(b" ") == 1_000_000
    (field,) = [value for name, value in parts(spaced.message)[0] if name == b"DKIM-Signature"]
    assert sum(map(field.count, (b" ", b"\t", b"\n"))) > 100_000
    assert holds(re.sub(rb"\n[ \t]{99}", b"", spaced.message), keys)
    assert f"s={HUGE};".encode() in huge.message
    assert len(keys.records[f"{HUGE}._domainkey.sender.example"]) > 16_384 / 6
    values = [value for name, value in parts(many.message)[0] if name == b"DKIM-Signature"]
    assert len(values) == len(set(values)) == 1000
    assert holds(many.message, keys, 999)
    assert 95_000 < most.message.index(b"\n\n") < 102_400
