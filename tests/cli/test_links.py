"""``vaglio links``: lists of links' domains as the admin sees them, with the DNS in a zone file."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from vaglio.blocklists.words import teller
from vaglio.checks.score.linkcatalogue import shipped
from vaglio.checks.score.links import SCHEMA, Context, Links
from vaglio.config.load import load
from vaglio.dns.open import open_resolver
from vaglio.store import open_store

Host = Any  # of conftest.py

ZONE = """\
test.bl.test A 127.0.0.2
trap.example.bl.test A 127.0.0.2
7.100.51.198.bl.test A 127.0.0.2
odd.example.bl.test A 127.0.0.9
test.refuser.test A 127.255.255.254
trap.example.refuser.test A 127.255.255.254
"""
LISTS = f"""\
[score.links]
without = {list(shipped())!r}
exempt_domains = ["friend.it"]
[[score.links.lists]]
name = "bl"
zone = "bl.test"
subjects = ["link", "address"]
codes = {{ "127.0.0.2" = 3.0 }}
reasons = {{ "127.0.0.2" = "a phishing site" }}
[[score.links.lists]]
name = "refuser"
zone = "refuser.test"
"""


def configure(host: Host, lists: str = LISTS) -> None:
    file = host.directory / "zone"
    file.write_text(ZONE)
    host.configure(f'[dns]\nzone_file = "{file}"\n{lists}')


def watch(host: Host) -> list[str]:
    """Have the daemon look after its lists once; return what the admin was told."""
    config, told = load(host.config, {}).config, list[str]()
    store = open_store(config.state.url, SCHEMA, warn=print, now=host.clock.now)
    resolver = open_resolver([], 5, config.dns.zone_file)

    async def live() -> None:
        context = Context(host.clock, store, resolver, teller("score.links", told.append, print))
        links = Links(config.score.links, context)
        await links.begin()
        await links.upkeep()
        await links.write_back()

    asyncio.run(live())
    store.close()
    return told


def test_check_tells_what_each_list_says_of_a_domain(host: Host) -> None:
    configure(host)
    said = host.fine("links", "check", "www.trap.example")
    assert "a link leads to trap.example, which bl knows as a phishing site" in said
    assert "adds to the score of a message with such a link: 3" in said
    assert "refuser: it refuses to answer us (127.255.255.254); that counts as no hit." in said


def test_check_as_json_has_the_same(host: Host) -> None:
    configure(host)
    found = host.json("links", "check", "trap.example")
    assert (found["about"], found["exempt"], found["score"]) == ("trap.example", "", 3.0)
    assert [(one["name"], one["answer"], one["weight"]) for one in found["lists"]] == [
        ("bl", "listed", 3.0),
        ("refuser", "refuses-us", 0.0),
    ]


def test_check_of_an_address_asks_the_lists_that_take_some(host: Host) -> None:
    configure(host)
    said = host.json("links", "check", "198.51.100.7")
    assert [one["answer"] for one in said["lists"]] == ["listed", "not asked"]
    assert said["lists"][1]["says"] == "is asked about domains, not about addresses"


@pytest.mark.parametrize(
    ("subject", "why"),
    [
        ("friend.it", "it is exempt (score.links.exempt_domains)"),
        ("google.com", "everybody links to it"),
        ("10.0.0.1", "nobody on the open net has this address"),
    ],
)
def test_check_says_what_is_not_asked_about_in_mail(host: Host, subject: str, why: str) -> None:
    configure(host)
    assert f"no list is asked about it: {why}." in " ".join(host.fine("links", "check", subject).split())


def test_check_shows_a_code_that_weighs_nothing(host: Host) -> None:
    configure(host)
    assert "127.0.0.9, which weighs nothing" in host.fine("links", "check", "odd.example")


def test_what_is_neither_domain_nor_address_is_refused(host: Host) -> None:
    said = host.run("links", "check", "nonsense")
    assert said.status == 2
    assert "wanted a domain" in said.err


def test_status_says_what_is_suspended_and_what_to_do(host: Host) -> None:
    configure(host)
    (told,) = watch(host)
    assert told.startswith("the list refuser is suspended: it refuses to answer us (127.255.255.254).")
    said = host.run("links", "status")
    assert said.status == 1
    assert "in order" in said.out
    assert "SUSPENDED: refuses-us" in said.out
    assert "What to do:" in said.out
    found = {one["name"]: one for one in host.json("links", "check", "trap.example")["lists"]}
    assert (found["bl"]["suspended"], found["refuser"]["suspended"]) == (False, True)


def test_status_says_when_nobody_ever_probed(host: Host) -> None:
    configure(host)
    said = host.run("links", "status")
    assert said.status == 1
    assert "links.sqlite" in said.err


def test_lists_shows_what_is_on_and_what_ships(host: Host) -> None:
    host.configure("")
    said = host.fine("links", "lists")
    assert "surbl" in said
    assert "spamhaus-dbl " not in said
    assert "more ship and are off: vaglio links lists --all" in said
    assert "spamhaus-dbl " in host.fine("links", "lists", "--all")
    whole = host.fine("links", "lists", "uribl")
    assert "refuses us by: 127.255.255.0-255, 127.0.0.1" in whole
    (document,) = host.json("links", "lists", "surbl")
    assert (document["state"], document["subjects"]) == ("on", ["link", "address"])


def test_a_list_whose_name_is_misspelt_is_suggested(host: Host) -> None:
    said = host.run("links", "lists", "uribel")
    assert 'see vaglio links lists --all; did you mean "uribl"?' in said.err


def test_a_key_is_never_shown(host: Host) -> None:
    key = "topsecret"
    configure(host, f'[[score.links.lists]]\nname = "spamhaus-dbl-dqs"\nkey = "{key}"\n')
    for words in (("lists",), ("lists", "spamhaus-dbl-dqs"), ("check", "trap.example")):
        assert key not in host.fine("links", *words)
    said = host.run("config", "show")
    assert key not in said.out + said.err
