"""The servers of the benchmark of DKIM: ours take their settings, and the peers have the same keys and clients."""

from __future__ import annotations

from pathlib import Path

from bench.dkimservers import DkimpySign, DkimSign, DkimVerify, OpendkimSign, OpendkimVerify
from vaglio.config.load import load
from vaglio.config.model import VaglioConfig

ADDRESS = "127.77.1.1"


def config_of(command: list[str]) -> VaglioConfig:
    (file,) = (word.removeprefix("--config=") for word in command if word.startswith("--config="))
    return load(Path(file), {}).config


def test_ours_take_their_settings(tmp_path: Path) -> None:
    verify = DkimVerify(tmp_path / "verify", [0], ADDRESS, workers=2).command()
    assert (config_of(verify).dkim.verify.engine, config_of(verify).dns.servers) == ("native", [ADDRESS])
    assert "--workers=2" in verify


def test_our_signer_has_the_keys_that_it_is_given_and_no_others(tmp_path: Path) -> None:
    files = {"rsa": tmp_path / "rsa.pem", "ed25519": tmp_path / "ed25519.pem"}
    sign = config_of(DkimSign(tmp_path / "sign", [0], ADDRESS, files).command()).dkim.sign
    assert sign.key_dir == ""
    assert [(key.domain, key.selector, key.file) for key in sign.keys] == [
        ("sender.example", selector, str(file)) for selector, file in files.items()
    ]
    assert sign.networks == ["192.0.2.25"]


def test_the_peers_have_the_same_name_server_key_and_client(tmp_path: Path) -> None:
    key = tmp_path / "rsa.pem"
    OpendkimVerify(tmp_path / "verify", [0], ADDRESS)
    assert f"Mode v\nNameservers {ADDRESS}\n" in (tmp_path / "verify/config").read_text()
    OpendkimSign(tmp_path / "sign", [0], "rsa", key)
    text = (tmp_path / "sign/config").read_text()
    assert f"Selector rsa\nKeyFile {key}\nRequireSafeKeys no\nSignatureAlgorithm rsa-sha256\n" in text
    assert (tmp_path / "sign/internal").read_text() == "192.0.2.25\n"
    DkimpySign(tmp_path / "dkimpy", [0], "rsa", key)
    assert "Mode s\nInternalHosts 192.0.2.25\nDomain sender.example\n" in (tmp_path / "dkimpy/config").read_text()
