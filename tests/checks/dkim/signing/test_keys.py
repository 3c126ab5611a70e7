"""Whose keys sign for whom: the order of the sources, what happens to keys that change or can't be read any more."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from vaglio.checks.dkim.signing import keys as under_test
from vaglio.checks.dkim.signing.keyfile import KeyTrouble
from vaglio.checks.dkim.signing.keys import Keys
from vaglio.checks.dkim.signing.settings import DkimSignSettings
from vaglio.checks.dkim.signing.sign import Signer
from vaglio.checks.dkim.signing.tables import Entry


class Place:
    """A directory with keys, rings and tables; ``warned`` is what was told."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.chmod(0o700)
        self.warned: list[str] = []
        (folder / "dkim").mkdir()

    def key(self, name: str, mode: int = 0o600) -> str:
        path = self.folder / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_bytes(Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        path.chmod(mode)
        return str(path)

    def ring(self, domain: str, **states: str) -> None:
        """Write keys.json of a domain: selectors and states."""
        for selector in states:
            self.key(f"dkim/{domain}/{selector}.pem")
        rows = [{"selector": selector, "algorithm": "ed25519", "file": f"{selector}.pem", "state": state, "created": 1,
                 "switched": 2, "retired": 3} for selector, state in states.items()]  # fmt: skip
        self.write(f"dkim/{domain}/keys.json", json.dumps({"domain": domain, "keys": rows}))

    def write(self, name: str, text: str) -> str:
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return str(path)

    def tables(self, keys: str, signers: str) -> dict[str, str]:
        keys = keys.replace("DIR", str(self.folder))
        return {"key_table": self.write("KeyTable", keys), "signing_table": f"refile:{self.write('Signing', signers)}"}

    def keys(self, *named: tuple[str, str, str], **more: Any) -> Keys:
        told = [{"domain": domain, "selector": selector, "file": file} for domain, selector, file in named]
        chosen = DkimSignSettings(**{"keys": told, "key_dir": str(self.folder / "dkim"), **more})
        return Keys(chosen, self.warned.append)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def told(signers: Sequence[Signer]) -> list[tuple[str, str]]:
    return [(one.domain, one.selector) for one in signers]


def trouble(keys: Keys, local: str, domain: str) -> str:
    with pytest.raises(KeyTrouble) as caught:
        keys.signers(local, domain)
    return str(caught.value)


def test_keys_that_are_named_and_those_of_the_folder_sign_together(place: Place) -> None:
    place.ring("tizio.it", uno="signing", due="signing", old="retired", new="new")
    keys = place.keys(("Tizio.it", "tre", place.key("tre.pem")), ("tizio.it", "uno", place.key("uno.pem")))
    found = [("tizio.it", "tre"), ("tizio.it", "uno"), ("tizio.it", "due")]
    assert told(keys.signers("anna", "tizio.it")) == found
    assert [one[:2] for one, _ in keys.entries()] == found
    assert keys.entries()[0][0] == Entry("tizio.it", "tre", f"{place.folder}/tre.pem")
    assert keys.signers("anna", "caio.it") == ()
    assert place.warned == []


def test_mail_of_a_subdomain_is_signed_by_the_nearest_domain_above(place: Place) -> None:
    place.ring("tizio.it", uno="signing")
    place.ring("posta.tizio.it", due="signing")
    assert told(place.keys().signers("a", "x.y.tizio.it")) == [("tizio.it", "uno")]
    assert told(place.keys().signers("a", "x.posta.tizio.it")) == [("posta.tizio.it", "due")]
    assert place.keys(subdomains=False).signers("a", "x.tizio.it") == ()
    assert place.keys().signers("a", "nottizio.it") == ()


def test_the_tables_are_asked_last(place: Place) -> None:
    place.ring("tizio.it", uno="signing")
    place.key("caio.it.pem")
    tables = place.tables("c %:due:DIR/%.pem\nt tizio.it:tre:DIR/caio.it.pem\n", "*@caio.it c\n*@* t:@%\n")
    keys = place.keys(**tables)
    assert told(keys.signers("a", "tizio.it")) == [("tizio.it", "uno")]
    assert told(keys.signers("a", "caio.it")) == [("caio.it", "due")]
    assert told(keys.signers("a", "altri.it")) == [("tizio.it", "tre")]
    every = place.keys(**tables, all_matches=True)
    assert told(every.signers("a", "caio.it")) == [("caio.it", "due"), ("tizio.it", "tre")]
    assert {one.selector for one, _ in keys.entries()} == {"uno", "due", "tre"}


def test_a_key_whose_path_the_author_makes_is_read_for_the_first_of_them(place: Place) -> None:
    keys = place.keys(**place.tables("c %:due:DIR/%.pem\n", "*@*.caio.it c\n"))
    assert f"{place.folder}/a.caio.it.pem: the key can't be read" in trouble(keys, "x", "a.caio.it")
    assert place.warned == []  # it is told where the message is
    place.key("a.caio.it.pem")
    assert keys.refresh()
    assert told(keys.signers("x", "a.caio.it")) == [("a.caio.it", "due")]


def test_a_key_that_can_t_be_read_is_told_once_and_is_trouble_for_its_authors(place: Place) -> None:
    file = place.key("uno.pem", 0o644)
    keys = place.keys(("tizio.it", "uno", file), ("caio.it", "due", place.key("due.pem")))
    assert "which everybody has rights" in trouble(keys, "a", "tizio.it")
    assert "which everybody has rights" in trouble(keys, "a", "sub.tizio.it")
    assert told(keys.signers("a", "caio.it")) == [("caio.it", "due")]
    assert not keys.refresh()
    assert len(place.warned) == 1
    Path(file).chmod(0o600)
    assert keys.refresh()
    assert told(keys.signers("a", "tizio.it")) == [("tizio.it", "uno")]


def test_a_key_that_can_t_be_read_any_more_goes_on_signing(place: Place) -> None:
    file = place.key("uno.pem")
    keys = place.keys(("tizio.it", "uno", file))
    before = keys.signers("a", "tizio.it")
    Path(file).unlink()
    keys.refresh()
    keys.refresh()
    assert keys.signers("a", "tizio.it") == before
    assert place.warned == [f"{file}: the key can't be read: No such file or directory; its last state stays"]


def test_a_key_that_is_replaced_signs_at_once(place: Place) -> None:
    keys = place.keys(("tizio.it", "uno", place.key("uno.pem")))
    before = keys.signers("a", "tizio.it")[0].key.public
    place.key("uno.pem")
    assert keys.refresh()
    assert keys.signers("a", "tizio.it")[0].key.public != before


def test_rotation_is_followed(place: Place) -> None:
    place.ring("tizio.it", uno="signing")
    keys = place.keys()
    place.ring("tizio.it", uno="retired", due="signing")
    place.ring("caio.it", tre="signing")
    assert keys.refresh()
    assert told(keys.signers("a", "tizio.it")) == [("tizio.it", "due")]
    assert told(keys.signers("a", "caio.it")) == [("caio.it", "tre")]
    assert not keys.refresh()
    place.write("dkim/tizio.it/keys.json", "{")
    keys.refresh()
    assert told(keys.signers("a", "tizio.it")) == [("tizio.it", "due")]
    assert len(place.warned) == 1
    assert place.warned[0].startswith(f"{place.folder}/dkim/tizio.it/keys.json: it is no JSON")


def test_a_folder_whose_ring_is_no_good_is_trouble_for_its_domain(place: Place) -> None:
    place.write("dkim/tizio.it/keys.json", '{"domain": "caio.it", "keys": []}')
    place.write("dkim/vuoto.it/other", "")
    keys = place.keys()
    assert "wanted those of" in trouble(keys, "a", "tizio.it")
    assert keys.signers("a", "caio.it") == keys.signers("a", "vuoto.it") == ()


def test_without_a_directory_there_are_no_keys_until_it_is_made(place: Place) -> None:
    keys = place.keys(key_dir=str(place.folder / "later"))
    assert keys.signers("a", "tizio.it") == ()
    place.ring("tizio.it", uno="signing")
    (place.folder / "dkim").rename(place.folder / "later")
    assert keys.refresh()
    assert told(keys.signers("a", "tizio.it")) == [("tizio.it", "uno")]
    (place.folder / "later").rename(place.folder / "gone")
    keys.refresh()
    assert told(keys.signers("a", "tizio.it")) == [("tizio.it", "uno")]
    assert "its last state stays" in place.warned[0]
    assert place.keys(key_dir="").signers("a", "tizio.it") == ()


def test_a_table_that_is_not_there_is_trouble_for_whoever_might_be_in_it(place: Place) -> None:
    place.ring("tizio.it", uno="signing")
    tables = place.tables("t caio.it:tre:DIR/k.pem\n", "*@caio.it t\n")
    place.key("k.pem")
    signing = Path(tables["signing_table"].removeprefix("refile:"))
    text = signing.read_text()
    signing.unlink()
    keys = place.keys(**tables)
    assert told(keys.signers("a", "tizio.it")) == [("tizio.it", "uno")]
    assert trouble(keys, "a", "caio.it") == f"{signing}: can't be read: No such file or directory"
    signing.write_text(text)
    assert keys.refresh()
    assert told(keys.signers("a", "caio.it")) == [("caio.it", "tre")]
    signing.unlink()
    keys.refresh()
    assert told(keys.signers("a", "caio.it")) == [("caio.it", "tre")]


def test_what_is_wrong_with_tables_is_told_with_its_line(place: Place) -> None:
    keys = place.keys(**place.tables("t caio.it:tre\n", "*@caio.it t\n*@tizio.it none\n"))
    assert [one.removeprefix(f"{place.folder}/").partition(":")[2][:1] for one in place.warned] == ["1", "2"]
    assert "KeyTable:1" in trouble(keys, "a", "caio.it")


def test_the_author_is_named_where_that_is_wanted_and_safe(place: Place) -> None:
    tables = place.tables("t caio.it:tre:DIR/uno.pem\n", "*@caio.it t:@posta.caio.it\n")
    keys = place.keys(("tizio.it", "uno", place.key("uno.pem")), identity="author", **tables)
    assert keys.signers("anna", "tizio.it")[0].identity == "anna@tizio.it"
    assert keys.signers("anna", "sub.tizio.it")[0].identity == "anna@sub.tizio.it"
    assert keys.signers('"a;b"', "tizio.it")[0].identity == ""
    assert keys.signers("è", "tizio.it")[0].identity == ""
    assert keys.signers("anna", "caio.it")[0].identity == "@posta.caio.it"


def test_a_credential_signs(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.key("tizio", 0o400)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(place.folder))
    assert told(place.keys(("tizio.it", "uno", "credential:tizio")).signers("a", "tizio.it")) == [("tizio.it", "uno")]
    monkeypatch.delenv("CREDENTIALS_DIRECTORY")
    assert "LoadCredential" in trouble(place.keys(("tizio.it", "uno", "credential:tizio")), "a", "tizio.it")


def test_no_file_is_opened_for_a_message(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = place.keys(("tizio.it", "uno", place.key("uno.pem")), **place.tables("t c.it:s:DIR/uno.pem\n", "*@c.it t\n"))
    monkeypatch.setattr(under_test, "read_key", None)
    monkeypatch.setattr(os, "stat", None)
    for domain in ("tizio.it", "a.tizio.it", "c.it", "altri.it"):
        assert keys.signers("a", domain) == keys.signers("a", domain)


def test_answers_are_kept_up_to_a_bound(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(under_test, "MAX_KEPT", 8)
    keys = place.keys(**place.tables("t %:s:DIR/%.pem\n", "*@* t\n"))
    for number in range(50):
        trouble(keys, "a", f"d{number}.it")
    assert len(keys._answers) == len(keys._by_author) == 8


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    place = Place(tmp_path_factory.mktemp("keys"))
    tables = place.tables("t %:s:DIR/%.pem\nf tizio.it:s:DIR/k.pem\n", "*x*@*.caio.it t\n*@caio.it f:%@%\n")
    return place.keys(("tizio.it", "uno", place.key("k.pem")), identity="author", **tables)


LONG = ["." * 5000, "a." * 5000, "x" * 5000, ".tizio.it", "a.caio.it", "tizio.it", "caio.it", "../x.caio.it"]
ANY = st.text(st.characters(), max_size=60) | st.sampled_from(LONG)


@settings(max_examples=300, deadline=None)
@given(local=ANY, domain=ANY)
def test_whoever_writes_there_are_signers_or_trouble(lasting: Keys, local: str, domain: str) -> None:
    try:
        found = lasting.signers(local, domain)
    except KeyTrouble:
        return
    for one in found:
        assert one.domain in {"tizio.it", "caio.it"}
        assert one.identity.isascii()
        assert not set(one.identity) & set(";= \r\n\t\0")


def test_keys_whose_list_is_moved_away_go_on_signing(place: Place) -> None:
    place.ring("tizio.it", uno="signing")
    keys = place.keys()
    ring = place.folder / "dkim/tizio.it/keys.json"
    ring.rename(ring.with_name("keys.old"))
    keys.refresh()
    keys.refresh()
    assert told(keys.signers("a", "tizio.it")) == [("tizio.it", "uno")]
    assert place.warned == [f"{ring}: can't be read: No such file or directory; its last state stays"]


def test_a_domain_that_loses_its_keys_is_told(place: Place) -> None:
    place.ring("tizio.it", uno="signing")
    place.ring("caio.it", uno="signing")
    keys = place.keys()
    place.ring("tizio.it", uno="retired")
    (place.folder / "dkim/caio.it").rename(place.folder / "caio.it")
    keys.refresh()
    keys.refresh()
    assert keys.signers("a", "tizio.it") == keys.signers("a", "caio.it") == ()
    lost = [f"{one}: no key of its own signs for it any more" for one in ("caio.it", "tizio.it")]
    assert sorted(place.warned) == lost


def test_a_table_that_is_emptied_counts_when_it_stays_empty(place: Place) -> None:
    place.key("k.pem")
    tables = place.tables("t caio.it:tre:DIR/k.pem\n", "*@caio.it t\n")
    signing = place.folder / "Signing"
    text = signing.read_text()
    keys = place.keys(**tables)
    signing.write_text("")
    keys.refresh()
    assert told(keys.signers("a", "caio.it")) == [("caio.it", "tre")]
    assert place.warned == [f"{signing}: it is empty; if it stays so, nobody is signed for by it; its last state stays"]
    signing.write_text(text)
    keys.refresh()
    assert told(keys.signers("a", "caio.it")) == [("caio.it", "tre")]
    signing.write_text("")
    keys.refresh()
    keys.refresh()
    assert keys.signers("a", "caio.it") == ()


def test_what_can_t_be_read_when_the_configuration_is_read_again_keeps_its_last_state(place: Place) -> None:
    place.ring("tizio.it", uno="signing")
    place.ring("caio.it", due="signing")
    file = place.key("tre.pem")
    tables = place.tables("t altri.it:tre:DIR/tre.pem\n", "*@altri.it t\n")
    named = {"domain": "posta.it", "selector": "tre", "file": file}
    wanted = DkimSignSettings.model_validate({"keys": [named], "key_dir": str(place.folder / "dkim"), **tables})
    keys = Keys(wanted, place.warned.append)
    domains = ("tizio.it", "caio.it", "posta.it", "altri.it")
    before = [keys.signers("a", one)[0].key.public for one in domains]
    for name in ("dkim/tizio.it/uno.pem", "dkim/caio.it/keys.json", "tre.pem", "Signing", "KeyTable"):
        (place.folder / name).unlink()
    keys = Keys(wanted, place.warned.append, keys)
    assert [keys.signers("a", one)[0].key.public for one in domains] == before
    assert len(place.warned) == 5
    assert all(one.endswith("; its last state stays") for one in place.warned)


def test_what_was_another_file_s_is_not_kept(place: Place) -> None:
    keys = place.keys(("tizio.it", "uno", place.key("uno.pem")))
    named = {"domain": "tizio.it", "selector": "uno", "file": "/nowhere"}
    wanted = DkimSignSettings.model_validate({"keys": [named], "key_dir": ""})
    assert "/nowhere" in trouble(Keys(wanted, place.warned.append, keys), "a", "tizio.it")


def test_a_folder_that_is_called_as_no_domain_is_told_once(place: Place) -> None:
    place.ring("Tizio.it", uno="signing")
    (place.folder / "dkim/.git").mkdir()
    keys = place.keys()
    (place.folder / "dkim/caio.it").mkdir()
    keys.refresh()
    (told,) = place.warned
    assert told.startswith(f"'{place.folder}/dkim/Tizio.it': no key in it signs: its name is no domain")


def test_nobody_is_signed_for_by_a_domain_of_one_label_or_none(place: Place) -> None:
    place.ring("it", uno="signing")
    keys = place.keys()
    assert [keys.signers("a", one) for one in ("tizio.it", "it", "", ".", "x..it")] == [()] * 5


def test_whether_all_keys_are_of_one_organization(place: Place) -> None:
    place.ring("tizio.it", uno="signing")
    place.ring("posta.tizio.it", uno="signing")
    assert place.keys().one_organization
    assert not place.keys(("caio.it", "due", place.key("due.pem"))).one_organization
    assert place.keys(**place.tables("t tizio.it:tre:DIR/due.pem\n", "* t\n")).one_organization
    assert not place.keys(**place.tables("t %:tre:DIR/due.pem\n", "* t\n")).one_organization
    keys = place.keys()
    place.ring("caio.it", uno="signing")
    keys.refresh()
    assert not keys.one_organization


# --- keys that don't sign yet ---


def test_a_domain_whose_keys_are_all_new_waits_and_so_do_those_below_it(place: Place) -> None:
    place.ring("nuovo.it", uno="new")
    place.ring("tizio.it", uno="signing", due="new")
    place.ring("caio.it", uno="retired")
    keys = place.keys()
    assert [keys.waiting(one) for one in ("nuovo.it", "a.b.nuovo.it", "tizio.it", "caio.it", "sempronio.it")] == [
        "nuovo.it", "nuovo.it", "", "", "",
    ]  # fmt: skip
    assert keys.all_waiting() == ["nuovo.it"]
    assert place.keys(subdomains=False).waiting("a.nuovo.it") == ""
    place.ring("nuovo.it", uno="signing")
    assert keys.refresh()
    assert (keys.waiting("nuovo.it"), keys.all_waiting()) == ("", [])


def test_a_table_that_signs_for_any_domain_is_known_to(place: Place) -> None:
    key = place.key("%.pem")
    assert not place.keys().is_open
    assert place.keys(**place.tables(f"all %:uno:{key}", "* all")).is_open
