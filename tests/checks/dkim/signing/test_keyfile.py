"""Key files: what others could read or replace is not used, a damaged key neither; trouble names file and remedy."""

from __future__ import annotations

import base64
import getpass
import os
import stat
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from vaglio.checks.dkim.signing.keyfile import MAX_BYTES, KeyTrouble, file_flaw, folder_flaw, read_key
from vaglio.checks.dkim.signing.sign import BadKey, private_key

RSA = generate_private_key(65537, 1024)
DER = RSA.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption())
PEM = RSA.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
DAEMON, SOMEBODY, OURS, THEIRS = 500, 501, 600, 601


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A directory of ours. What pytest makes is below /tmp, which is sticky and root's."""
    tmp_path.chmod(0o700)
    return tmp_path


def key_file(folder: Path, data: bytes = PEM, mode: int = 0o600) -> str:
    path = folder / "tizio.pem"
    path.write_bytes(data)
    path.chmod(mode)
    return str(path)


def trouble(file: str) -> str:
    with pytest.raises(KeyTrouble) as caught:
        read_key(file)
    return str(caught.value)


@pytest.mark.parametrize("mode", [0o400, 0o600, 0o440, 0o640])
def test_a_key_that_is_ours_alone_is_read(folder: Path, mode: int) -> None:
    assert read_key(key_file(folder, mode=mode)).public == private_key(PEM).public


def test_an_ed25519_key_is_read(folder: Path) -> None:
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    assert read_key(key_file(folder, pem)).algorithm == "ed25519-sha256"


@pytest.mark.parametrize("mode", [0o604, 0o602, 0o644, 0o666, 0o601])
def test_a_key_that_everybody_has_rights_to_is_not_read(folder: Path, mode: int) -> None:
    file = key_file(folder, mode=mode)
    assert trouble(file) == (
        f"{file}: the key is not used: found mode {mode:04o}, with which everybody has rights, wanted 0400, 0600 or "
        f"0640: chmod o= {file}"
    )


def test_a_key_below_a_directory_where_everybody_may_write_is_not_read(folder: Path) -> None:
    below = folder / "open" / "closed"
    below.mkdir(parents=True)
    file = key_file(below)
    (folder / "open").chmod(0o757)
    assert f"found that everybody may write in {folder}/open (mode 0757)" in trouble(file)


def test_a_link_does_not_hide_where_a_key_is(folder: Path) -> None:
    (folder / "open").mkdir()
    (folder / "link").symlink_to(key_file(folder / "open"))
    read_key(str(folder / "link"))
    (folder / "open").chmod(0o757)
    assert "everybody may write" in trouble(str(folder / "link"))


def status(mode: int, uid: int = 0, gid: int = 0) -> os.stat_result:
    return os.stat_result((stat.S_IFREG | mode, 0, 0, 1, uid, gid, 0, 0, 0, 0))


@pytest.mark.parametrize(
    ("mode", "uid", "gid", "words"),
    [
        (0o600, DAEMON, THEIRS, ""),
        (0o600, 0, THEIRS, ""),
        (0o640, 0, OURS, ""),
        (0o440, 0, 0, ""),  # a credential: systemd has named the reader in an ACL
        (0o640, 0, THEIRS, "group 601 has rights"),
        (0o660, 0, OURS, "its group may write"),
        (0o600, SOMEBODY, OURS, "found the owner 501"),
    ],
)
def test_who_else_may_have_rights(mode: int, uid: int, gid: int, words: str) -> None:
    flaw = file_flaw("/k", status(mode, uid, gid), DAEMON, {OURS})
    assert words in flaw
    assert bool(flaw) == bool(words)


def test_root_reads_the_keys_of_any_daemon() -> None:
    assert file_flaw("/k", status(0o640, SOMEBODY, THEIRS), 0, {0}) == ""
    assert file_flaw("/k", status(0o644, 0, 0), 0, {0}) != ""


@pytest.mark.parametrize(
    ("mode", "uid", "gid", "words"),
    [
        (0o755, 0, THEIRS, ""),
        (0o750, DAEMON, OURS, ""),  # /etc/vaglio as it may be
        (0o1777, 0, 0, ""),
        (0o1770, 0, THEIRS, ""),
        (0o1777, DAEMON, OURS, "everybody may write in /srv (mode 1777)"),
        (0o1770, DAEMON, THEIRS, "group 601 may write in /srv (mode 1770)"),
        (0o770, 0, THEIRS, "group 601 may write in /srv (mode 0770), wanted nobody else: chmod g-w /srv"),
        (0o770, 0, OURS, ""),
        (0o770, DAEMON, 0, ""),
        (0o755, SOMEBODY, OURS, "found /srv owned by 501"),
    ],
)
def test_who_else_may_write_above_a_key(mode: int, uid: int, gid: int, words: str) -> None:
    flaw = folder_flaw(Path("/srv"), status(mode, uid, gid), DAEMON, {OURS})
    assert words in flaw
    assert bool(flaw) == bool(words)


def test_for_root_too_no_other_group_may_write_above_a_key() -> None:
    assert "group 601 may write" in folder_flaw(Path("/srv"), status(0o770, 0, THEIRS), 0, {0})
    assert folder_flaw(Path("/srv"), status(0o755, SOMEBODY, THEIRS), 0, {0}) == ""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives folders to others")
def test_a_key_that_a_group_can_replace_is_not_read(folder: Path) -> None:
    (folder / "games").mkdir()
    file = key_file(folder / "games")
    os.chown(folder / "games", 0, THEIRS)
    (folder / "games").chmod(0o770)
    assert f"found that group 601 may write in {folder}/games" in trouble(file)


def test_a_credential_is_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key_file(folder, mode=0o400)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(folder))
    assert read_key("credential:tizio.pem").algorithm == "rsa-sha256"
    assert trouble("credential:caio.pem") == f"{folder}/caio.pem: the key can't be read: No such file or directory"


def test_without_systemd_a_credential_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    assert "LoadCredential=tizio:/path" in trouble("credential:tizio")


def test_what_is_no_file_is_told(folder: Path) -> None:
    os.mkfifo(folder / "pipe", 0o600)
    assert "found no regular file" in trouble(str(folder / "pipe"))
    assert "found no regular file" in trouble(str(folder))
    assert "zero byte" in trouble("/etc/a\0b")
    assert "No such file" in trouble(str(folder / "none"))
    assert f"found more than {MAX_BYTES} bytes" in trouble(key_file(folder, b" " * (MAX_BYTES + 1)))


def test_a_key_that_may_not_be_read_says_who_should(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    file = key_file(folder)
    monkeypatch.setattr(os, "open", refuse)
    me = f"{getpass.getuser()} ({os.geteuid()})"
    assert trouble(file) == (
        f"{file}: the key can't be read: user {me}, as whom the daemon runs, may not read it (mode 0600, of {me}): "
        f"chown root:vaglio {file} && chmod 0640 {file}"
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes somebody else")
def test_the_folder_that_is_in_the_way_is_named() -> None:
    with TemporaryDirectory(dir="/tmp") as name:  # below those of pytest only their owner gets
        Path(name).chmod(0o755)
        closed = Path(name) / "dkimkeys"
        closed.mkdir(0o700)
        file = key_file(closed)
        os.seteuid(DAEMON)
        try:
            told = trouble(file)
        finally:
            os.seteuid(0)
    assert f"user {DAEMON}, as whom the daemon runs, may not pass the folder {closed} (mode 0700, of root (0))" in told
    assert told.endswith(f"chown root:vaglio {closed} && chmod 0750 {closed}")


def pem(der: bytes) -> bytes:
    label = b"RSA PRIVATE KEY-----\n"
    return b"-----BEGIN " + label + base64.encodebytes(der) + b"-----END " + label


def test_a_damaged_key_never_signs(folder: Path) -> None:
    # The last 66 bytes are the coefficient of the Chinese remainders, the 66 before it an exponent.
    damaged = DER[:-100] + bytes([DER[-100] ^ 1]) + DER[-99:-10] + bytes([DER[-10] ^ 1]) + DER[-9:]
    file = key_file(folder, pem(damaged[:200] + bytes([damaged[200] ^ 1]) + damaged[201:]))
    assert trouble(file) == (
        f"{file}: the key can't be used: it is damaged: what it signs is not verified by its own public half"
    )


@settings(max_examples=300, deadline=None)
@given(changes=st.dictionaries(st.integers(0, len(DER) - 1), st.integers(0, 255), max_size=4))
def test_whatever_is_in_a_key_it_signs_rightly_or_is_refused(changes: dict[int, int]) -> None:
    der = bytearray(DER)
    for place, value in changes.items():
        der[place] = value
    try:
        key = private_key(pem(bytes(der)))
    except BadKey:
        return
    RSA.public_key().verify(key.sign(b"ciao"), b"ciao", PKCS1v15(), SHA256())


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=200) | st.binary(max_size=40).map(lambda data: PEM[:60] + data + PEM[60:]))
def test_any_bytes_are_a_key_or_a_bad_one(data: bytes) -> None:
    try:
        private_key(data)
    except BadKey:
        return
