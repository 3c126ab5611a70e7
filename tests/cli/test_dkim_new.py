"""``vaglio dkim new`` and ``list``."""

from __future__ import annotations

import grp
import json
import os
import re
import threading
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.cli.dkimkeys import NOW, Admin
from tests.cli.dkimkeys import admin as admin  # a fixture
from vaglio.checks.dkim.signing.sign import private_key
from vaglio.cli import dkim_folder
from vaglio.cli.dkim_folder import Folder


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o7777


def test_two_keys_are_made_that_do_not_sign_yet(admin: Admin) -> None:
    said = admin.run("new", "tizio.it")
    assert said.status == 0
    assert admin.states() == {"20261122e": "new", "20261122r": "new"}
    keys = {name: private_key((admin.keys / "tizio.it" / f"{name}.pem").read_bytes()) for name in admin.states()}
    assert [(key.algorithm, key.bits) for key in keys.values()] == [("rsa-sha256", 2048), ("ed25519-sha256", 256)]
    value = f"v=DKIM1; k=rsa; p={keys['20261122r'].public}"
    assert "name   20261122r._domainkey   (in the zone tizio.it; whole: 20261122r._domainkey.tizio.it)" in said.out
    assert f"  value  {value}\n" in said.out
    admin.publish(said.out)
    assert admin.records["20261122r._domainkey.tizio.it"].replace('" "', "") == f'"{value}"'
    assert "vaglio dkim rotate tizio.it" in said.out


def test_what_is_printed_is_what_a_program_gets(admin: Admin) -> None:
    found = admin.json("new", "sub.tizio.it", "--only", "rsa", "--rsa-bits", "3072")
    [key] = found["keys"]
    assert (found["domain"], found["directory"]) == ("sub.tizio.it", str(admin.keys / "sub.tizio.it"))
    assert (key["selector"], key["bits"], key["state"]) == ("20261122r", 3072, "new")
    assert key["name"] == "20261122r._domainkey.sub.tizio.it"
    assert re.sub(r'[\s"()]', "", key["zone_line"]) == f"{key['name']}.INTXT{key['value'].replace(' ', '')}"


def test_nothing_is_made_while_new_keys_are_under_way(admin: Admin) -> None:
    admin.run("new", "tizio.it")
    before = admin.ring()
    said = admin.run("new", "tizio.it")
    assert said.status == 1
    assert "tizio.it has new keys under way: 20261122r, 20261122e; publish them" in said.err
    assert admin.ring() == before


def test_selectors_are_those_that_were_asked_for_and_never_used_twice(admin: Admin) -> None:
    assert admin.run("new", "tizio.it", "--selector", "mail", "--sign-now").status == 0
    assert admin.states() == {"maile": "signing", "mailr": "signing"}
    said = admin.run("new", "tizio.it", "--selector", "mailr", "--only", "rsa")
    assert said.status == 1
    assert "has a key with the selector mailr already" in said.err
    assert admin.run("new", "tizio.it", "--selector", "x", "--only", "ed25519", "--sign-now").status == 0
    assert admin.states() == {"maile": "retired", "mailr": "signing", "x": "signing"}


def test_a_file_that_no_ring_has_is_not_overwritten(admin: Admin) -> None:
    folder = admin.keys / "tizio.it"
    folder.mkdir(parents=True)
    (folder / "20261122r.pem").write_text("of an attempt that ended early")
    (folder / "s.pem").write_text("another")
    assert "there is a file s.pem already" in admin.run("new", "tizio.it", "--selector", "s", "--only", "rsa").err
    assert admin.run("new", "tizio.it").status == 0
    assert admin.states() == {"20261122e": "new", "20261122r2": "new"}
    assert (folder / "20261122r.pem").read_text() == "of an attempt that ended early"
    assert sorted(path.name for path in folder.iterdir()) == [
        "20261122e.pem", "20261122r.pem", "20261122r2.pem", "keys.json", "s.pem",
    ]  # fmt: skip


def test_the_time_can_be_given(admin: Admin) -> None:
    admin.run("new", "tizio.it", "--only", "rsa", "--now", "1795478400")
    assert [(key.selector, key.created) for key in admin.ring().keys] == [("20261124r", 1795478400)]


def test_domains_are_kept_in_a_labels(admin: Admin) -> None:
    assert admin.run("new", "Bücher.DE.", "--only", "ed25519").status == 0
    assert admin.states("xn--bcher-kva.de") == {"20261122e": "new"}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("tizio.it", "--rsa-bits", "1024"), "keys of fewer than 2048 bits can be broken"),
        (("tizio.it", "--rsa-bits", "8192"), "found '8192', wanted 2048 to 4096"),
        (("tizio.it", "--selector", "a/b"), "found 'a/b', wanted a selector"),
        (("../tizio.it",), "found '../tizio.it', wanted a domain"),
        (("it",), "wanted a domain such as tizio.it"),
    ],
)
def test_what_can_not_be_is_refused(admin: Admin, words: tuple[str, ...], told: str) -> None:
    said = admin.run("new", *words)
    assert said.status == 2
    assert told in said.err
    assert not admin.keys.exists()


def test_a_public_suffix_is_warned_of(admin: Admin) -> None:
    said = admin.run("new", "co.uk", "--only", "ed25519")
    assert (said.status, "co.uk is a public suffix" in said.err) == (0, True)
    assert "public suffix" not in admin.run("new", "tizio.co.uk", "--only", "ed25519").err


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes somebody else")
def test_who_is_not_root_is_told_that_it_takes_root(admin: Admin) -> None:
    with TemporaryDirectory(dir="/tmp") as name:  # below those of pytest only their owner gets
        Path(name).chmod(0o755)
        admin.config, admin.keys = Path(name) / "vaglio.toml", Path(name) / "dkim"
        admin.configure("")
        os.seteuid(65534)
        try:
            said = admin.run("new", "tizio.it", "--only", "ed25519")
        finally:
            os.seteuid(0)
    assert (said.status, said.err) == (1, f"vaglio: {name}/dkim/tizio.it: Permission denied: run this as root\n")


def test_long_keys_come_with_a_remark(admin: Admin) -> None:
    assert "may not fit into a datagram" in admin.run("new", "tizio.it", "--only", "rsa", "--rsa-bits", "4096").err


def test_a_zone_file_is_written_if_it_is_not_there_yet(admin: Admin) -> None:
    file = admin.directory / "new.zone"
    said = admin.run("new", "tizio.it", "--only", "ed25519", "--zone-file", str(file))
    assert file.read_text().strip() in said.out
    said = admin.run("new", "caio.it", "--zone-file", str(file))
    assert (said.status, "is there already" in said.err) == (1, True)
    assert not (admin.keys / "caio.it").exists()


def test_whoever_is_not_root_makes_files_for_himself(admin: Admin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    admin.run("new", "tizio.it")
    assert {mode(path) for path in (admin.keys / "tizio.it").iterdir()} == {0o600}
    assert (mode(admin.keys), mode(admin.keys / "tizio.it")) == (0o700, 0o700)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files to others")
def test_what_root_makes_the_group_of_the_daemon_may_read(admin: Admin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dkim_folder, "GROUP", grp.getgrgid(2).gr_name)
    said = admin.run("new", "tizio.it")
    for path, wanted in ((admin.keys, 0o750), (admin.keys / "tizio.it", 0o750),
                         *((path, 0o640) for path in (admin.keys / "tizio.it").iterdir())):  # fmt: skip
        assert (path.stat().st_uid, path.stat().st_gid, mode(path)) == (0, 2, wanted)
    assert said.err == ""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files to others")
def test_without_the_group_files_belong_to_whom_the_directory_belongs_to(
    admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dkim_folder, "GROUP", "nobody-has-this")
    assert "there is no group nobody-has-this: only root can read the keys" in admin.run("new", "tizio.it").err
    os.chown(admin.keys, 1234, 1234)
    assert admin.run("new", "caio.it").err == ""
    assert {(path.stat().st_uid, mode(path)) for path in (admin.keys / "caio.it").iterdir()} == {(1234, 0o600)}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files to others")
def test_a_link_in_place_of_a_fresh_folder_gives_nothing_away(admin: Admin, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who owns the key directory can change what lies in it between any two steps."""
    monkeypatch.setattr(dkim_folder, "GROUP", "nobody-has-this")
    admin.keys.mkdir()
    os.chown(admin.keys, 1234, 1234)
    victim = admin.directory / "victim"
    victim.mkdir(mode=0o755)
    mkdir = os.mkdir

    def swapped(name: str, mode: int, *, dir_fd: int) -> None:
        mkdir(name, mode, dir_fd=dir_fd)
        os.rmdir(name, dir_fd=dir_fd)
        os.symlink(victim, name, dir_fd=dir_fd)

    monkeypatch.setattr(os, "mkdir", swapped)
    said = admin.run("new", "tizio.it")
    assert (said.status, said.err) == (
        1, f"vaglio: {admin.keys}/tizio.it: found a link or a file, wanted a directory: no link is followed there\n",
    )  # fmt: skip
    assert (victim.stat().st_uid, mode(victim), list(victim.iterdir())) == (0, 0o755, [])


def test_links_below_the_key_directory_are_not_followed_and_that_itself_may_be_one(admin: Admin) -> None:
    (admin.directory / "elsewhere").mkdir()
    admin.keys.symlink_to("elsewhere")
    assert admin.run("new", "tizio.it").status == 0
    (admin.keys / "caio.it").symlink_to("tizio.it")
    for words in (("new", "caio.it"), ("rotate", "caio.it")):
        assert "caio.it: found a link or a file" in admin.run(*words).err
    for name in ("keys.json", "20261122r.pem"):
        file = admin.keys / "tizio.it" / name
        moved = file.rename(admin.directory / name)
        file.symlink_to(moved)
        said = admin.ask("rotate", "tizio.it")
        file.unlink()
        moved.rename(file)
        assert (said.status, f"{file}: Too many levels of symbolic links" in said.err) == (1, True)


def test_two_commands_do_not_meet(admin: Admin) -> None:
    admin.run("new", "tizio.it", "--selector", "a", "--only", "rsa", "--sign-now")
    folder, seen = Folder(admin.keys, "tizio.it"), []
    inside = threading.Event()

    def other() -> None:
        inside.set()
        with folder.change():
            seen.append("second")

    thread = threading.Thread(target=other)
    with folder.change():
        thread.start()
        inside.wait()
        seen.append("first")
    thread.join()
    assert seen == ["first", "second"]


def test_a_directory_that_can_not_be_had_is_said(admin: Admin) -> None:
    admin.keys.write_text("no directory")
    said = admin.run("new", "tizio.it")
    assert said.status == 1
    assert str(admin.keys) in said.err


def test_keys_that_can_not_be_read_as_such_are_named(admin: Admin) -> None:
    admin.run("new", "tizio.it")
    file = admin.keys / "tizio.it" / "keys.json"
    file.write_text(file.read_text().replace('"new"', '"newish"'))
    said = admin.run("new", "tizio.it")
    assert said.status == 1
    assert f'{file}: key "20261122r": state: found "newish", wanted "new", "signing" or "retired"' in said.err
    file.write_text('{"domain": "caio.it", "keys": []}')
    assert "found the keys of caio.it, wanted those of tizio.it" in admin.run("new", "tizio.it").err


def test_all_keys_are_listed(admin: Admin) -> None:
    assert admin.run("list").out == "there are no keys: vaglio dkim new DOMAIN makes some\n"
    admin.run("new", "tizio.it", "--only", "rsa", "--sign-now")
    admin.run("new", "caio.it", "--only", "ed25519")
    file = admin.directory / "own.pem"
    file.write_bytes((admin.keys / "tizio.it" / "20261122r.pem").read_bytes())
    file.chmod(0o600)
    admin.configure(f'[[dkim.sign.keys]]\ndomain = "sempronio.it"\nselector = "a"\nfile = "{file}"')
    rows = admin.json("list")["keys"]
    assert [(row["domain"], row["selector"], row["algorithm"], row["bits"], row["state"], row["source"])
            for row in rows] == [
        ("caio.it", "20261122e", "ed25519", 256, "new", "directory"),
        ("sempronio.it", "a", "rsa", 2048, "signing", "configuration"),
        ("tizio.it", "20261122r", "rsa", 2048, "signing", "directory"),
    ]  # fmt: skip
    assert rows[0]["since"] == NOW
    table = admin.run("list", "caio.it").out.splitlines()
    assert table[0].split() == ["domain", "selector", "algorithm", "bits", "state", "since", "from", "file"]
    assert table[1].split()[:6] == ["caio.it", "20261122e", "ed25519", "256", "new", "2026-11-22"]
    assert json.dumps(rows).count("PRIVATE") == 0


def test_a_key_that_is_lost_is_listed_as_such(admin: Admin) -> None:
    admin.run("new", "tizio.it", "--only", "rsa")
    (admin.keys / "tizio.it" / "20261122r.pem").unlink()
    [row] = admin.json("list")["keys"]
    assert (row["bits"], row["state"]) == (None, "new")
    assert row["broken"]
    assert "No such file" in row["problem"]
    assert " broken " in admin.run("list").out
