"""``vaglio dkim rotate`` and ``check``: the life of a key, day by day."""

from __future__ import annotations

import asyncio
import json
import os
import pwd
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.cli.dkimkeys import DAY, Admin
from tests.cli.dkimkeys import admin as admin  # a fixture
from vaglio.checks.dkim.signing.record import zone_lines
from vaglio.cli import dkim_ask, dkim_reader, dkim_records, dkim_rotate
from vaglio.cli.dkim_records import ToPublish
from vaglio.dns.open import OpenResolver
from vaglio.dns.zonefile import ZoneResolver, load_zone


def test_a_whole_life(admin: Admin) -> None:
    first = admin.run("new", "tizio.it")

    said = admin.ask("rotate", "tizio.it")
    assert said.status == 3
    assert "tizio.it: not all name servers tell 20261122r and 20261122e yet: nothing is changed." in said.out
    assert "20261122r._domainkey.tizio.it: resolver: there is no TXT record" in said.out
    assert set(admin.states().values()) == {"new"}

    admin.publish(first.out)
    said = admin.ask("rotate", "tizio.it")
    assert (said.status, said.out) == (
        0, "tizio.it: signing from now on: 20261122r and 20261122e, which all name servers tell.\n",
    )  # fmt: skip
    assert admin.states() == {"20261122e": "signing", "20261122r": "signing"}
    assert admin.ask("check").status == 0

    admin.time += 100 * DAY
    said = admin.ask("rotate", "tizio.it")
    assert (said.status, "new keys are due on 2027-05-21" in said.out) == (0, True)

    admin.time += 80 * DAY
    said = admin.ask("rotate", "tizio.it")
    assert said.status == 3
    assert admin.states() == {"20261122e": "signing", "20261122r": "signing", "20270521e": "new", "20270521r": "new"}
    assert admin.ask("rotate", "tizio.it").status == 3

    admin.publish(said.out)
    said = admin.ask("rotate", "tizio.it")
    assert said.status == 0
    assert "leave the records of 20261122r and 20261122e as they are for 30 days" in said.out
    assert admin.states() == {"20261122e": "retired", "20261122r": "retired", "20270521e": "signing",
                              "20270521r": "signing"}  # fmt: skip

    admin.time += 29.5 * DAY
    said = admin.ask("rotate", "tizio.it")
    assert said.status == 0
    assert "leave the records of 20261122r and 20261122e as they are for 1 more day." in said.out

    admin.time += DAY
    said = admin.ask("rotate", "tizio.it")
    assert said.status == 3
    assert '20261122r._domainkey.tizio.it. IN TXT "v=DKIM1; k=rsa; p="' in said.out
    assert "the record at 20261122e._domainkey.tizio.it still has a key" in said.out
    admin.publish('20261122r._domainkey.tizio.it. IN TXT "v=DKIM1; k=rsa; p="')
    said = admin.ask("rotate", "tizio.it")
    assert said.status == 3
    assert "revoked at all name servers: 20261122r; no mail signed by 20261122e is on its way" in said.out
    del admin.records["20261122e._domainkey.tizio.it"]
    admin.write()
    said = admin.ask("rotate", "tizio.it", "--purge")
    assert (said.status, "deleted: 20261122r and 20261122e." in said.out) == (0, True)
    assert admin.states() == {"20270521e": "signing", "20270521r": "signing"}
    assert sorted(path.name for path in (admin.keys / "tizio.it").glob("*.pem")) == ["20270521e.pem", "20270521r.pem"]
    assert admin.ask("check", "tizio.it").status == 0


def test_files_of_revoked_keys_stay_until_they_are_purged(admin: Admin) -> None:
    admin.run("new", "tizio.it", "--only", "rsa", "--selector", "a", "--sign-now")
    admin.run("new", "tizio.it", "--only", "rsa", "--selector", "b", "--sign-now")
    admin.time += 31 * DAY
    assert admin.ask("rotate", "tizio.it").status == 0
    assert [key.revoked is not None for key in admin.ring().keys] == [True, False]
    assert (admin.keys / "tizio.it" / "a.pem").exists()
    assert [row["state"] for row in admin.json("list")["keys"]] == ["signing", "revoked"]


def test_at_once_waits_for_no_retired_keys(admin: Admin) -> None:
    admin.publish(admin.run("new", "tizio.it", "--only", "rsa", "--sign-now").out)
    admin.publish(admin.run("new", "tizio.it", "--only", "rsa").out)
    assert admin.ask("rotate", "tizio.it").status == 0
    said = admin.ask("rotate", "tizio.it", "--at-once")
    assert (said.status, "new keys are made" in said.out) == (3, True)
    assert admin.states() == {"20261122r": "retired", "20261122r2": "signing", "20261122r3": "new"}

    admin.time += 31 * DAY
    said = admin.ask("rotate", "tizio.it")
    assert "20261122r2 and" not in said.out
    assert '20261122r._domainkey.tizio.it. IN TXT "v=DKIM1; k=rsa; p="' in said.out
    assert "20261122r3._domainkey.tizio.it: resolver: there is no TXT record" in said.out


def test_a_stolen_key_is_replaced_and_revoked_without_delay(admin: Admin) -> None:
    admin.publish(admin.run("new", "tizio.it", "--sign-now").out)
    words = ("rotate", "tizio.it", "--revoke", "20261122r")
    said = admin.ask(*words)
    assert (said.status, "then run vaglio dkim rotate tizio.it --revoke 20261122r again" in said.out) == (3, True)
    assert "p=\"" not in said.out

    assert admin.ask(*words).status == 3
    admin.publish(said.out)
    said = admin.ask(*words)
    assert said.status == 3
    assert "signing from now on: 20261122r2 and 20261122e2, which all name servers tell; leave the records of " \
           "20261122e as they are for 30 days.\n" in said.out  # fmt: skip
    assert "tizio.it: nobody shall believe 20261122r any more. Publish these records in place of theirs." in said.out
    assert said.out.count('p="') == 1
    assert admin.states() == {"20261122e": "retired", "20261122e2": "signing", "20261122r": "retired",
                              "20261122r2": "signing"}  # fmt: skip

    assert admin.ask(*words).status == 3
    admin.publish(said.out)
    assert "revoked at all name servers: 20261122r." in admin.ask(*words).out
    said = admin.ask(*words)
    assert (said.status, "leave the records of 20261122e as they are" in said.out) == (0, True)


def test_a_key_that_was_stolen_while_it_is_retired_is_revoked_at_once(admin: Admin) -> None:
    admin.publish(admin.run("new", "tizio.it", "--only", "rsa", "--sign-now").out)
    admin.publish(admin.run("new", "tizio.it", "--only", "rsa", "--sign-now").out)
    said = admin.ask("rotate", "--revoke", "20261122r")
    assert (said.status, 'p="' in said.out, "20261122r2" in said.out) == (3, True, False)


def test_only_keys_of_one_domain_that_have_signed_can_be_revoked(admin: Admin) -> None:
    admin.run("new", "tizio.it", "--only", "rsa")
    assert "--revoke x: tizio.it has no such key" in admin.ask("rotate", "--revoke", "x").err
    assert "found a new key, wanted one that signs" in admin.ask("rotate", "--revoke", "20261122r").err
    assert admin.ask("rotate", "--all", "--revoke", "20261122r").status == 2
    assert admin.states() == {"20261122r": "new"}


def test_days_must_be_more_than_signatures_hold_and_queues_keep(admin: Admin) -> None:
    admin.run("new", "tizio.it", "--sign-now")
    assert admin.ask("rotate", "tizio.it", "--days", "12").status == 0
    said = admin.ask("rotate", "tizio.it", "--days", "11")
    assert (said.status, "--days 11: found fewer than 12: signatures hold 7 days" in said.err) == (2, True)
    admin.configure('valid = "30d"')
    assert admin.ask("rotate", "tizio.it").status == 2


def test_a_dry_run_changes_nothing(admin: Admin) -> None:
    first = admin.run("new", "tizio.it")
    admin.publish(first.out)
    before = admin.ring()
    said = admin.ask("rotate", "tizio.it", "--dry-run")
    assert (said.status, "would sign from now on: " in said.out) == (0, True)
    assert admin.ring() == before
    admin.ask("rotate", "tizio.it")
    before = admin.ring()
    assert "new keys would be made (rsa, ed25519)" in admin.ask("rotate", "--at-once", "--dry-run").out
    assert admin.ring() == before


def test_only_the_kinds_that_sign_are_replaced(admin: Admin) -> None:
    admin.run("new", "tizio.it", "--only", "rsa", "--sign-now")
    admin.ask("rotate", "tizio.it", "--at-once")
    assert admin.states() == {"20261122r": "signing", "20261122r2": "new"}


def test_a_key_in_test_mode_does_not_take_over(admin: Admin) -> None:
    admin.publish(admin.run("new", "tizio.it", "--only", "ed25519").out.replace("k=ed25519;", "k=ed25519; t=y;"))
    said = admin.ask("rotate", "tizio.it")
    assert (said.status, "the record says t=y" in said.out) == (3, True)


def test_all_domains_at_once_and_one_that_fails_does_not_stop_the_others(admin: Admin) -> None:
    for domain in ("aulo.it", "caio.it", "tizio.it"):
        admin.publish(admin.run("new", domain, "--only", "rsa").out)
    (admin.keys / "aulo.it" / "20261122r.pem").unlink()
    said = admin.ask("rotate", "--all")
    assert said.status == 1
    assert "aulo.it" in said.err
    assert (admin.states("aulo.it"), admin.states("caio.it")) == ({"20261122r": "new"}, {"20261122r": "signing"})
    assert admin.states("tizio.it") == {"20261122r": "signing"}


def test_it_must_be_clear_which_domain(admin: Admin) -> None:
    assert "say DOMAIN or --all" in admin.ask("rotate").err
    assert admin.ask("rotate", "--all").out == "there is nothing to do\n"
    assert "vaglio dkim new tizio.it makes some" in admin.ask("rotate", "tizio.it").err
    admin.run("new", "tizio.it")
    assert admin.ask("rotate").status == 3
    assert admin.ask("rotate", "tizio.it", "--all").status == 2


def test_a_program_is_told_the_same(admin: Admin) -> None:
    admin.run("new", "tizio.it", "--only", "rsa")
    said = admin.ask("rotate", "--json")
    [turn] = json.loads(said.out)["turns"]
    assert (said.status, turn["domain"], turn["step"]) == (3, "tizio.it", "waiting")
    assert turn["publish"][0]["name"] == "20261122r._domainkey.tizio.it"
    assert turn["lacking"][0] == "20261122r._domainkey.tizio.it: resolver: there is no TXT record"


def test_it_waits_until_the_records_are_seen(admin: Admin, monkeypatch: pytest.MonkeyPatch) -> None:
    printed = admin.run("new", "tizio.it", "--only", "rsa").out
    pauses: list[str] = []

    async def pause() -> None:
        pauses.append(admin.states()["20261122r"])
        if len(pauses) == 2:
            admin.publish(printed.replace("v=DKIM1; ", "v=DKIM1\\\\; "))
        if len(pauses) == 3:
            admin.publish(printed)
        await asyncio.sleep(0)

    monkeypatch.setattr(dkim_rotate, "_pause", pause)
    said = admin.ask("rotate", "tizio.it", "--wait")
    assert (said.status, pauses) == (0, ["new"] * 3)
    assert said.out.endswith("signing from now on: 20261122r, which all name servers tell.\n")
    assert 'waiting: 20261122r._domainkey.tizio.it: resolver: there is a backslash before each ";"' in said.err


def edits(admin: Admin, monkeypatch: pytest.MonkeyPatch, *work: Callable[[], None]) -> None:
    """Have this done to the zone while the command waits, one after the other."""
    rest = iter(work)

    async def pause() -> None:
        next(rest)()
        await asyncio.sleep(0)

    monkeypatch.setattr(dkim_rotate, "_pause", pause)


def test_one_domain_that_waits_does_not_keep_the_others_waiting(
    admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    printed = [admin.run("new", domain, "--only", "rsa").out for domain in ("caio.it", "tizio.it")]

    def first() -> None:
        assert admin.states("tizio.it") == {"20261122r": "new"}
        admin.publish(printed[1])

    def second() -> None:
        assert (admin.states("caio.it"), admin.states("tizio.it")) == ({"20261122r": "new"}, {"20261122r": "signing"})
        admin.publish(printed[0])

    edits(admin, monkeypatch, first, second)
    said = admin.ask("rotate", "--all", "--wait")
    assert (said.status, said.out.count("signing from now on")) == (0, 2)


def test_a_stolen_key_takes_a_single_command_that_waits(admin: Admin, monkeypatch: pytest.MonkeyPatch) -> None:
    admin.publish(admin.run("new", "tizio.it", "--only", "rsa", "--sign-now").out)
    shown: list[str] = []
    tell = dkim_records.show

    def show(records: list[ToPublish]) -> None:
        shown.append("".join(f"{zone_lines(one.name, one.text)}\n" for one in records))
        tell(records)

    monkeypatch.setattr(dkim_rotate, "show", show)
    edits(admin, monkeypatch, *[lambda: admin.publish(shown[-1])] * 2)
    said = admin.ask("rotate", "tizio.it", "--revoke", "20261122r", "--wait")
    assert (said.status, len(shown), admin.ring().keys[0].revoked) == (0, 2, int(admin.time))
    assert "revoked at all name servers: 20261122r. The records can go" in said.out.splitlines()[-1]


def test_at_once_is_once_however_long_it_waits(admin: Admin, monkeypatch: pytest.MonkeyPatch) -> None:
    admin.publish(admin.run("new", "tizio.it", "--only", "rsa", "--sign-now").out)
    admin.publish(admin.run("new", "tizio.it", "--only", "rsa", "--sign-now").out)
    admin.time += 31 * DAY
    printed = admin.run("new", "tizio.it", "--only", "rsa").out

    def revoke() -> None:
        del admin.records["20261122r._domainkey.tizio.it"]
        admin.write()

    edits(admin, monkeypatch, lambda: admin.publish(printed), revoke)
    assert admin.ask("rotate", "--at-once", "--wait").status == 0
    assert admin.states() == {"20261122r": "retired", "20261122r2": "retired", "20261223r": "signing"}


def test_a_program_that_waits_is_told_all_steps_and_somebody_what_to_publish(
    admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    printed = admin.run("new", "tizio.it", "--only", "rsa").out
    edits(admin, monkeypatch, lambda: admin.publish(printed))
    said = admin.ask("rotate", "--json", "--wait")
    found = json.loads(said.out)
    assert ([turn["step"] for turn in found["turns"]], found["errors"]) == (["waiting", "switched"], [])
    assert found["turns"][0]["publish"][0]["zone_line"] in said.err


def test_a_program_is_told_which_domains_failed(admin: Admin) -> None:
    for domain in ("caio.it", "tizio.it"):
        admin.publish(admin.run("new", domain, "--only", "rsa").out)
    (admin.keys / "caio.it" / "20261122r.pem").unlink()
    said = admin.ask("rotate", "--all", "--json")
    found = json.loads(said.out)
    assert (said.status, [turn["domain"] for turn in found["turns"]]) == (1, ["tizio.it"])
    [error] = found["errors"]
    assert (error["domain"], "20261122r.pem: No such file" in error["text"]) == ("caio.it", True)


def test_the_time_can_be_given(admin: Admin) -> None:
    admin.publish(admin.run("new", "tizio.it", "--only", "rsa", "--sign-now").out)
    said = admin.ask("rotate", "tizio.it", "--now", str(int(admin.time + 200 * DAY)))
    assert (said.status, admin.states()) == (3, {"20261122r": "signing", "20270610r": "new"})


def test_records_that_were_taken_away_too_early_are_to_be_put_back(admin: Admin) -> None:
    first = admin.run("new", "tizio.it", "--sign-now").out
    admin.publish(first)
    admin.publish(admin.ask("rotate", "tizio.it", "--at-once").out)
    assert admin.ask("rotate", "tizio.it").status == 0
    assert admin.ask("rotate", "tizio.it").status == 0
    del admin.records["20261122r._domainkey.tizio.it"]
    admin.write()
    said = admin.ask("rotate", "tizio.it")
    assert said.status == 3
    assert "the records of 20261122r were taken away too early" in said.out
    assert "20261122r._domainkey.tizio.it: resolver: there is no record any more" in said.out
    admin.publish(said.out)
    said = admin.ask("rotate", "tizio.it")
    assert (said.status, "leave the records of 20261122r and 20261122e as they are" in said.out) == (0, True)

    admin.records["20261122r._domainkey.tizio.it"] = '"v=DKIM1; k=rsa; p="'
    admin.write()
    said = admin.ask("rotate", "tizio.it")
    assert (said.status, "don't, and run vaglio dkim rotate tizio.it --revoke SELECTOR" in said.out) == (3, True)
    assert admin.ask("rotate", "tizio.it", "--revoke", "20261122r").status == 0


# --- check ---


def test_the_keys_of_all_sources_are_checked(admin: Admin) -> None:
    admin.publish(admin.run("new", "tizio.it", "--sign-now").out)
    said = admin.ask("check")
    assert said.status == 0
    assert said.out.count("ok  ") == 2
    assert said.out.count("\n  the record has the key that signs (the resolver)\n") == 2
    assert "no name servers" not in said.out
    del admin.records["20261122r._domainkey.tizio.it"]
    admin.write()
    said = admin.ask("check", "tizio.it")
    assert said.status == 1
    assert "NOT OK  20261122r._domainkey.tizio.it  (signing)\n  resolver: there is no TXT record" in said.out
    found = json.loads(admin.ask("check", "--json").out)
    assert (found["fits"], [key["fits"] for key in found["keys"]]) == (False, [False, True])
    assert found["keys"][0]["answers"][0]["result"] == "missing"


def test_only_keys_that_sign_decide(admin: Admin) -> None:
    admin.publish(admin.run("new", "tizio.it", "--only", "rsa", "--sign-now").out)
    admin.run("new", "tizio.it", "--only", "ed25519")
    said = admin.ask("check")
    assert (said.status, "NOT OK  20261122e" in said.out) == (0, True)
    assert "signs yet" not in said.out


def test_that_no_key_signs_yet_is_said(admin: Admin) -> None:
    admin.run("new", "tizio.it")
    said = admin.ask("check")
    assert (said.status, said.out.endswith("None of these keys signs yet.\n")) == (0, True)


def test_what_the_dns_does_not_tell_is_no_misfit(admin: Admin) -> None:
    admin.run("new", "tizio.it", "--only", "rsa", "--sign-now")
    admin.zone.write_text("20261122r._domainkey.tizio.it * TIMEOUT\n")
    said = admin.ask("check")
    assert said.status == 1
    assert said.out.startswith("not told  20261122r._domainkey.tizio.it  (signing)\n")
    assert said.out.endswith("Whether all keys that sign fit could not be told.\n")


def test_a_key_that_can_not_be_read_does_not_fit(admin: Admin) -> None:
    admin.publish(admin.run("new", "tizio.it", "--only", "rsa", "--sign-now").out)
    (admin.keys / "tizio.it" / "20261122r.pem").write_text("nonsense")
    said = admin.ask("check")
    assert (said.status, said.err) == (1, "")
    assert "it is no private key in PEM" in said.out


def test_a_key_that_others_may_read_does_not_fit(admin: Admin) -> None:
    admin.publish(admin.run("new", "tizio.it", "--only", "rsa", "--sign-now").out)
    (admin.keys / "tizio.it" / "20261122r.pem").chmod(0o644)
    said = admin.ask("check")
    assert (said.status, "found mode 0644" in said.out) == (1, True)


def test_a_key_of_the_configuration_that_is_not_there_does_not_fit(admin: Admin) -> None:
    admin.configure('[[dkim.sign.keys]]\ndomain = "tizio.it"\nselector = "a"\nfile = "/nowhere/a.pem"')
    said = admin.ask("check")
    assert (said.status, said.err) == (1, "")
    assert "NOT OK  a._domainkey.tizio.it  (broken)\n  /nowhere/a.pem: the key can't be read" in said.out


@pytest.fixture
def others(admin: Admin) -> Iterator[Path]:
    """A folder where others may pass, as below what pytest makes they may not."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        admin.keys = folder / "dkim"
        admin.configure("")
        admin.publish(admin.run("new", "tizio.it", "--only", "rsa", "--sign-now").out)
        yield folder


@pytest.mark.skipif(os.geteuid() != 0, reason="only root judges for others")
@pytest.mark.parametrize("source", ["user", "state"])
def test_root_judges_for_the_user_of_the_daemons(
    admin: Admin, others: Path, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = admin.keys / "tizio.it" / "20261122r.pem"
    assert (admin.ask("check").status, json.loads(admin.ask("check", "--json").out)["user"]) == (0, None)

    user = pwd.getpwnam("nobody")
    if source == "user":
        monkeypatch.setattr(dkim_reader, "USER", "nobody")
    else:
        (admin.directory / "state").mkdir()
        os.chown(admin.directory / "state", user.pw_uid, user.pw_gid)
    said = admin.ask("check")
    assert said.status == 1
    assert said.out.startswith("Key files are judged for the user nobody, as whom the daemons run.\n")
    assert f"{admin.keys}: can't be read: Permission denied" in said.out
    blocked = f"may not pass the folder {admin.keys} (mode 0700, of root (0)): chown root:vaglio {admin.keys}"
    assert f"{file}: the key can't be read: user nobody ({user.pw_uid}), as whom the daemon runs, {blocked}" in said.out

    for path in (others / "dkim", others / "dkim" / "tizio.it"):
        path.chmod(0o755)
    (admin.keys / "tizio.it" / "keys.json").chmod(0o644)
    said = admin.ask("check")
    assert (said.status, said.out.count("can't be read"), f"{file}: the key can't be read" in said.out) == (1, 1, True)

    for path in (others / "dkim", others / "dkim" / "tizio.it", *(others / "dkim" / "tizio.it").iterdir()):
        os.chown(path, 0, user.pw_gid)
        path.chmod(0o750 if path.is_dir() else 0o640)
    assert admin.ask("check").status == 0
    assert json.loads(admin.ask("check", "--json").out)["user"] == "nobody"
    assert (os.geteuid(), os.getegid()) == (0, 0)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root judges for others")
@pytest.mark.usefixtures("others")
def test_a_user_without_a_name_is_told_by_its_number(admin: Admin) -> None:
    (admin.directory / "state").mkdir()
    os.chown(admin.directory / "state", 54321, 54321)
    assert json.loads(admin.ask("check", "--json").out)["user"] == "54321"


def test_keys_of_tables_are_checked(admin: Admin) -> None:
    admin.publish(admin.run("new", "tizio.it", "--only", "rsa", "--selector", "t").out)
    file = admin.directory / "t.private"
    file.write_bytes((admin.keys / "tizio.it" / "t.pem").read_bytes())
    file.chmod(0o600)
    (admin.directory / "keys").write_text(f"one caio.it:t:{file}\n")
    (admin.directory / "signers").write_text("*@caio.it one\n")
    admin.configure(f'key_table = "{admin.directory}/keys"\nsigning_table = "refile:{admin.directory}/signers"')
    rows = [(row["domain"], row["source"]) for row in admin.json("list")["keys"]]
    assert rows == [("caio.it", "table"), ("tizio.it", "directory")]
    assert "NOT OK  t._domainkey.caio.it  (signing)" in admin.ask("check").out
    file.unlink()
    said = admin.ask("check")
    assert (said.status, f"NOT OK  {file}  (broken)\n  {file}: the key can't be read" in said.out) == (1, True)
    assert f"{file}: the key can't be read" in admin.ask("check", "tizio.it").err


def test_a_folder_whose_list_is_broken_does_not_fit(admin: Admin) -> None:
    admin.run("new", "tizio.it", "--sign-now")
    (admin.keys / "tizio.it" / "keys.json").write_text("{}")
    said = admin.ask("check")
    assert (said.status, said.err) == (1, "")
    assert f"NOT OK  {admin.keys}/tizio.it  (broken)" in said.out
    assert "keys.json: wanted" in said.out


def test_nothing_to_check_is_said(admin: Admin) -> None:
    assert admin.ask("check").err == "vaglio: there are no keys\n"
    assert admin.ask("check", "tizio.it").err == "vaglio: there is no key of tizio.it\n"


@pytest.fixture
def servers(admin: Admin, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """Give the zone two name servers, each with a file of its own."""
    files = {address: admin.directory / f"{address}.zone" for address in ("192.0.2.1", "192.0.2.2")}

    def open_at(address: str, timeout: float) -> OpenResolver:
        assert timeout > 0
        return ZoneResolver(load_zone(files[address]))

    def resolver_of(zone: str, _: object) -> OpenResolver:
        return ZoneResolver(load_zone(Path(zone)))

    monkeypatch.setattr(dkim_ask, "open_at", open_at)
    monkeypatch.setattr(dkim_ask, "resolver_of", resolver_of)
    monkeypatch.setattr(dkim_ask.Asker, "is_offline", property(lambda _: False, lambda *_: None), raising=False)
    return files


NS = """tizio.it NS ns1.tizio.it
tizio.it NS ns2.tizio.it
tizio.it SOA ns1.tizio.it admin.tizio.it 1 2 3 4 900
ns1.tizio.it A 192.0.2.1
ns2.tizio.it A 192.0.2.2
"""


def test_no_key_takes_over_before_the_last_name_server_tells_it(admin: Admin, servers: dict[str, Path]) -> None:
    admin.publish(admin.run("new", "tizio.it", "--only", "rsa").out)
    record = admin.zone.read_text()
    admin.zone.write_text(NS + record)
    servers["192.0.2.1"].write_text(record)
    servers["192.0.2.2"].write_text("")
    said = admin.ask("rotate", "tizio.it")
    assert said.status == 3
    assert "20261122r._domainkey.tizio.it: ns2.tizio.it (192.0.2.2): there is no TXT record" in said.out
    assert "ns1" not in said.out.partition("In a web form")[0]
    assert admin.states() == {"20261122r": "new"}
    assert "ns2.tizio.it (192.0.2.2): there is no TXT record" in admin.ask("check").out

    servers["192.0.2.2"].write_text(record)
    assert admin.ask("rotate", "tizio.it").status == 0
    assert "the record has the key that signs (2 name servers and the resolver)" in admin.ask("check").out


def test_an_old_answer_of_the_resolver_is_told_as_such(admin: Admin, servers: dict[str, Path]) -> None:
    admin.publish(admin.run("new", "tizio.it", "--only", "rsa").out)
    for file in servers.values():
        file.write_text(admin.zone.read_text())
    admin.zone.write_text(NS)
    said = admin.ask("rotate", "tizio.it")
    assert said.status == 3
    assert "the resolver remembers an old answer for up to 900 s: all name servers of the zone tell another" in said.out
    assert admin.ask("rotate", "tizio.it", "--ignore", "resolver").status == 0


def test_a_server_can_be_left_out(admin: Admin, servers: dict[str, Path]) -> None:
    admin.publish(admin.run("new", "tizio.it", "--only", "rsa").out)
    servers["192.0.2.1"].write_text(admin.zone.read_text())
    servers["192.0.2.2"].write_text("20261122r._domainkey.tizio.it * TIMEOUT")
    admin.zone.write_text(NS + admin.zone.read_text())
    assert "ns2.tizio.it (192.0.2.2): the DNS did not tell (timeout)" in admin.ask("rotate", "tizio.it").out
    assert admin.ask("rotate", "tizio.it", "--ignore", "NS2.tizio.it.").status == 0
    for name in ("ns2.tizio.it", "192.0.2.2"):
        said = admin.ask("check", "--ignore", name)
        assert f"the record has the key that signs (1 name server and the resolver; {name} ignored)" in said.out
    assert "(2 name servers; resolver ignored)" not in admin.ask("check", "--ignore", "resolver").out
    said = admin.ask("check", "--ignore", "resolver", "--ignore", "ns2.tizio.it")
    assert "(1 name server; resolver ignored; ns2.tizio.it ignored)" in said.out


def test_without_known_name_servers_nothing_is_seen_everywhere(admin: Admin, servers: dict[str, Path]) -> None:
    assert servers
    admin.publish(admin.run("new", "tizio.it", "--only", "rsa").out)
    said = admin.ask("rotate", "tizio.it")
    assert (said.status, "there are no name servers for 20261122r._domainkey.tizio.it" in said.out) == (3, True)
