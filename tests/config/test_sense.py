"""Warnings, clashes that need more than one look, and the helpers of the model."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from vaglio.config import sense
from vaglio.config.load import ConfigError, load
from vaglio.config.model import Identity, State, VaglioConfig

NAMED = '[identity]\nauthserv_id = "mail.caio.it"\n'
LEFT = (
    "refuses nothing in the name of domains whose DMARC policy is quarantine or reject: that is left to DMARC, which "
    "nothing in Vaglio verifies yet. With no DMARC filter behind this, set spf.defer_to_dmarc = false; with one, "
    "= true says so"
)


def warnings(folder: Path, text: str) -> list[str]:
    path = folder / "vaglio.toml"
    path.write_text(text)
    return [warning.replace(str(path), "FILE") for warning in load(path, {}).warnings]


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        (
            '[dns]\nzone_file = "/etc/vaglio/zone"',
            "FILE:2: dns.zone_file: all questions to the DNS are answered from this file, and none from the network: "
            "a rehearsal",
        ),
        (
            "[dnsbl]\nreject = 3\ndefer = 4",
            "FILE:3: dnsbl.defer: never happens: dnsbl.reject refuses for good at this score or below it",
        ),
        (
            '[dnsbl]\nuse = ["barracuda"]\nwithout = ["barracuda"]',
            'FILE:3: dnsbl.without[0]: "barracuda" stands in dnsbl.use too: it is not asked',
        ),
        (
            '[dnsbl]\nuse = ["spamhaus-zen"]\n[[dnsbl.lists]]\nname = "zen"\nzone = "zen.spamhaus.org"',
            'FILE:5: dnsbl.lists[0].zone: asks the zone of "spamhaus-zen" for the same once more: what it says counts '
            "twice",
        ),
        (
            '[[dnsbl.lists]]\nname = "mine"\nzone = "dnsbl.sorbs.net"',
            "FILE:3: dnsbl.lists[0].zone: dnsbl.sorbs.net has ended (SORBS, shut down on 5 June 2024): take this list "
            "out",
        ),
        (
            '[score.links]\nuse = ["sem-uri"]\nwithout = ["sem-uri"]\n[identity]\nauthserv_id = "mail.caio.it"',
            'FILE:3: score.links.without[0]: "sem-uri" stands in score.links.use too: it is not asked',
        ),
        (
            '[[score.links.lists]]\nname = "mine"\nzone = "bl.spamcannibal.org"\n[identity]\nauthserv_id = "a.it"',
            "FILE:3: score.links.lists[0].zone: bl.spamcannibal.org has ended (domain lapsed in 2019, listed "
            "everybody): take this list out",
        ),
        (
            "[ratelimit]\nrule = []",
            "FILE:2: ratelimit.rule: nothing is limited: without this line the rules that ship would hold",
        ),
        (
            '[ratelimit]\nstage = "data"\n[[ratelimit.rule]]\ncount = "bytes"\nlimits = ["500 MB/1d"]',
            'FILE:4: ratelimit.rule[0].count: who announces no size has no limit; ratelimit.stage = '
            '"end-of-message" knows the true size',
        ),
        (
            '[greylist]\nscope = "listed"',
            "FILE:2: greylist.scope: greylists only whom vaglio-dnsbl tells of: it must run, and stand before "
            "vaglio-greylist in main.cf",
        ),
        (
            '[[greylist.rule]]\nclients = [".it"]\ndelay = "2h"\ngreylist = false',
            "FILE:3: greylist.rule[0].delay: has no effect beside greylist = false",
        ),
        (
            "[[greylist.rule]]\n[[greylist.rule]]\n",
            "FILE:1: greylist.rule[0]: this rule has no condition and holds for everybody: "
            "those after it are never read",
        ),
        (
            '[identity.languages]\n"caio.it" = "fr"',
            'FILE:2: identity.languages."caio.it": there are no reply texts in "fr", and no '
            "[greylist.text.fr], [ratelimit.text.fr] or [spf.text.fr]: English is used",
        ),
        (
            '[state]\nurl = "memory:"',
            "FILE:2: state.url: each worker keeps a memory of its own and forgets it when it stops",
        ),
        (
            f'[chain.inbound]\nworkers = 2\n[chain.lists]\nchecks = ["spf"]\n{NAMED}',
            "FILE:3: chain.lists.remove_forged: where the mail server asks both about a message, this one takes what "
            "chain.inbound has written for a forgery: set it to false in the one that stands behind the other",
        ),
        (
            f"[chain.inbuond]\n{NAMED}",
            'FILE:1: chain.inbuond: this chain checks nothing; did you mean "chain.inbound"?',
        ),
        (f"[chain.lists]\nworkers = 2\n{NAMED}", "FILE:1: chain.lists: this chain checks nothing"),
        (f"[chain.inbound]\nchecks = []\n{NAMED}", "FILE:1: chain.inbound: this chain checks nothing"),
        (
            f'[chain.inbound]\nchecks = ["spf", "dkim_verify", "dkim_sign"]\n{NAMED}',
            "FILE:2: chain.inbound.checks: a chain that signs and checks, too, is for port 25: mail from outside waits "
            "while it is down, since who signs defers then, and what a content filter hands back by 127.0.0.1 is "
            'signed. Sign in chain.outbound, or in a chain with checks = ["dkim_sign"], behind the submission ports',
        ),
        (
            '[identity]\nhostname = "mx"\n[spf]\nmode = "rehearse"',
            'FILE:1: identity.authserv_id: results are written under the name "mx", and forged ones under the full '
            'name of this host stay: set it, for example to "mail.caio.it"',
        ),
        (
            NAMED + '[spf]\nmail_from = { fail = "reject" }',
            "FILE:4: spf.mail_from.fail: " + LEFT,
        ),
        (
            NAMED + '[[spf.rule]]\nsenders = ["a.it"]\n[[spf.rule]]\nhelo = { softfail = "defer" }',
            "FILE:6: spf.rule[1].helo.softfail: " + LEFT,
        ),
        (
            NAMED + "[score]\nreject = 5",
            "FILE:4: score.tag: no message that arrives is called spam: they are refused from score.reject, which is "
            "5, and this is 5",
        ),
        (
            NAMED + "[score]\nhold = 15",
            "FILE:4: score.hold: holds nothing: messages are refused from score.reject, which is 15, and this is 15",
        ),
        (
            NAMED + "[score]\ntag = 6\nhold = 5.5",
            "FILE:4: score.tag: what is held, and released then, is not called spam: messages are held from "
            "score.hold, which is 5.5, and this is 6",
        ),
        (
            NAMED + '[score.domains]\n"caio.it" = { reject = 4 }',
            "FILE:4: score.tag: no message that arrives is called spam: they are refused from "
            'score.domains."caio.it".reject, which is 4, and this is 5',
        ),
        (
            NAMED + '[score.domains]\n"caio.it" = { hold = 20 }',
            'FILE:4: score.domains."caio.it".hold: holds nothing: messages are refused from score.reject, which is 15, '
            "and this is 20",
        ),
        (
            f'[chain.inbound]\nchecks = ["score", "spf", "dkim_verify", "tag"]\n{NAMED}',
            'FILE:2: chain.inbound.checks[0]: "score" goes by what is found by "spf" and "dkim_verify", and is asked '
            "before: let it stand behind",
        ),
        (
            f'[chain.inbound]\nchecks = ["spf", "tag", "score"]\n{NAMED}',
            'FILE:2: chain.inbound.checks[1]: "tag" goes by what is found by "score", and is asked before: let it '
            "stand behind",
        ),
    ],
)
def test_a_setting_that_is_probably_not_meant_is_warned_of(tmp_path: Path, text: str, warning: str) -> None:
    assert warnings(tmp_path, text) == [warning]


@pytest.mark.parametrize(
    "text",
    [
        "",
        '[greylist.text.fr]\nfirst = "Un instant"\n[identity.languages]\n"caio.it" = "fr"\ndefault = "it"',
        '[[greylist.rule]]\nreverse_dns = "none"\n[[greylist.rule]]\ndelay = "1h"',
        f"[chain.inbound]\n{NAMED}",
        f'[chain.inbound]\nworkers = 2\n[chain.lists]\nchecks = ["spf"]\nremove_forged = false\n{NAMED}',
        f'[chain.inbound]\nworkers = 2\n[chain.users]\nchecks = ["dkim_sign"]\n{NAMED}',
        f'[chain.outbound]\nchecks = ["spf", "dkim_sign"]\n{NAMED}',
        '[greylist]\nlisten = ["inet:127.0.0.1:0", "inet:127.0.0.1:0", "unix:/a", "unix:/A"]',
        '[identity]\nhostname = "mx"\n[greylist]\ndelay = "5m"',
        NAMED + '[chain.inbound]\nmode = "rehearse"',
        NAMED + '[spf]\ndefer_to_dmarc = true\nmail_from = { fail = "reject" }',
        NAMED + '[spf]\ndefer_to_dmarc = false\nmail_from = { fail = "reject" }',
        NAMED + '[score]\ntag = 6\nhold = 6\nreject = 0\n[score.domains]\n"caio.it" = { tag = 0, hold = 0 }',
        NAMED + '[chain.inbound]\nchecks = ["score", "tag"]',
    ],
    ids=["nothing", "a language with texts", "a last rule for everybody", "a shipped chain", "two in a row",
         "one for own mail", "own mail judged as others will", "sockets that differ", "no milter", "a full name",
         "DMARC elsewhere", "no DMARC", "a ladder", "an order"],
)
def test_sound_settings_raise_no_warning(tmp_path: Path, text: str) -> None:
    assert warnings(tmp_path, text) == []


def test_an_engine_that_is_not_installed_is_warned_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = NAMED + '[spf]\nengine = "libmilter"'
    monkeypatch.setattr(sense, "find_spec", lambda _: None)
    (warning,) = warnings(tmp_path, text)
    assert warning.startswith("FILE:4: spf.engine: pymilter is not installed: apt-get install libmilter-dev gcc ")
    monkeypatch.setattr(sense, "find_spec", lambda _: "here")
    assert warnings(tmp_path, text) == []


def test_a_key_that_is_wrong_by_itself_raises_no_clash_with_its_default(tmp_path: Path) -> None:
    path = tmp_path / "vaglio.toml"
    path.write_text('[greylist]\ntarpit = "20s"\ndeadline = "half a minute"')
    with pytest.raises(ConfigError) as caught:
        load(path, {})
    assert [problem.key for problem in caught.value.problems] == ["greylist.deadline"]


def test_the_language_goes_by_the_recipient_domain() -> None:
    identity = Identity(languages={"caio.it": "it", "tizio.fr": "fr"})
    assert [identity.language_for(name) for name in ("caio.it", "CAIO.IT", "tizio.fr", "x.de", "")] == [
        "it", "it", "fr", "en", "en",
    ]  # fmt: skip
    assert Identity(languages={"default": "it"}).language_for("x.de") == "it"


def test_the_names_default_to_the_systems_own() -> None:
    own = os.uname().nodename
    assert (Identity().hostname, Identity().authserv_id) == (own, own)
    assert Identity(hostname="mx1.caio.it").authserv_id == "mx1.caio.it"
    assert Identity(hostname="mx1.caio.it", authserv_id="caio.it").authserv_id == "caio.it"


def test_the_state_directory_is_the_path_of_the_url() -> None:
    assert State().directory == Path("/var/lib/vaglio")
    assert State(url="memory:").directory is None


@pytest.mark.parametrize("url", ["", "sqlite:", "sqlite://", "sqlite://x", "/var/lib/vaglio", "redis://x", "Memory:"])
def test_a_state_url_of_no_known_form_is_refused(url: str) -> None:
    with pytest.raises(ValidationError):
        State(url=url)


@pytest.mark.parametrize("server", ["192.0.2.53", "192.0.2.53:5353", "2001:db8::53", "[::1]", "[2001:db8::53]:5353"])
def test_name_servers_are_addresses_with_or_without_a_port(server: str) -> None:
    assert VaglioConfig.model_validate({"dns": {"servers": [server]}}).dns.servers == [server]


@pytest.mark.parametrize("server", ["", "dns.caio.it", "192.0.2", "192.0.2.53:0", "[::1", "::1:x", "[192.0.2.53]"])
def test_other_name_servers_are_refused(server: str) -> None:
    with pytest.raises(ValidationError):
        VaglioConfig.model_validate({"dns": {"servers": [server]}})
