"""For whom there are keys is told once, and again when it changes; that there are none is worth a warning."""

from __future__ import annotations

from tests.checks.dkim.samples import ed25519
from vaglio.checks.dkim.signing.roll import Roll
from vaglio.checks.dkim.signing.sign import PrivateKey
from vaglio.checks.dkim.signing.tables import Entry


class Rig:
    """Keys by domain, and what was told of them."""

    def __init__(self, **domains: str) -> None:
        self.known = {name.replace("_", "."): selectors.split() for name, selectors in domains.items()}
        self.waiting: list[str] = []
        self.is_open = False
        self.told: list[str] = []
        self.warned: list[str] = []
        self.roll = Roll(self, self.told.append, self.warned.append)

    def entries(self) -> list[tuple[Entry, PrivateKey]]:
        return [(Entry(name, one, "/k.pem"), ed25519()) for name, selectors in self.known.items() for one in selectors]

    def all_waiting(self) -> list[str]:
        return self.waiting

    def now(self) -> tuple[list[str], list[str]]:
        """Return what was told and warned of this time."""
        self.told.clear()
        self.warned.clear()
        self.roll.call()
        return list(self.told), list(self.warned)


def test_domains_and_selectors_are_told_at_the_start_and_when_they_change() -> None:
    rig = Rig(tizio_it="20261122r 20261122e", caio_it="uno")
    assert rig.now() == (["dkim.sign: signs for caio.it (uno), tizio.it (20261122r, 20261122e)"], [])
    assert rig.now() == ([], [])
    del rig.known["caio.it"]
    assert rig.now() == (["dkim.sign: signs for tizio.it (20261122r, 20261122e)"], [])


def test_many_domains_are_counted() -> None:
    rig = Rig(**{f"d{number}_it": "uno due" for number in range(11)})
    assert rig.now() == (["dkim.sign: signs for 11 domains, with 22 keys"], [])


def test_no_key_at_all_is_a_warning_at_the_start_and_when_the_last_one_goes() -> None:
    rig = Rig()
    told, (said,) = rig.now()
    assert told == []
    assert "there is no key" in said
    assert "vaglio dkim new DOMAIN" in said
    assert rig.now() == ([], [])
    rig.known["tizio.it"] = ["uno"]
    assert rig.now()[1] == []
    rig.known.clear()
    assert rig.now() == ([], [said])


def test_keys_that_dont_sign_yet_are_named() -> None:
    rig = Rig()
    rig.waiting = ["nuovo.it"]
    _, (said,) = rig.now()
    assert "the keys of nuovo.it don't sign yet" in said
    assert said.endswith("vaglio dkim rotate nuovo.it")
    rig.waiting = [f"d{number}.it" for number in range(12)]
    _, (said,) = rig.now()
    assert "d9.it and 2 more don't" in said
    assert said.endswith("vaglio dkim rotate DOMAIN")


def test_a_table_for_any_domain_is_no_reason_to_warn() -> None:
    rig = Rig()
    rig.is_open = True
    assert rig.now() == (["dkim.sign: signs for any domain that a table has a key for (%)"], [])
