"""Reads the configuration of opendkim and dkimpy-milter (opendkim.conf(5), dkimpy-milter.conf(5)), and says it in ours.

What has no counterpart is named, with the reason. Nothing is written here; files are read, and our settings judged, by
functions that are handed in. The tables themselves (KeyTable, SigningTable) are read by the daemon as they are.
"""

from __future__ import annotations

import ipaddress
import posixpath
import re
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from vaglio.checks.dkim.signature import ascii_name
from vaglio.checks.dkim.signing.counterparts import NONE, WHY
from vaglio.checks.dkim.signing.fields import NEVER, OVERSIGNED, SIGNED
from vaglio.lists import AddressList

Value = str | int | bool | list[str]
Read = Callable[[str], str]
"""From a path to the text of the file. Raises ValueError in words."""

_MAX_DEPTH = 5
_YEAR = 365 * 86400
_NUMBER = re.compile(r"-?[0-9]{1,18}")
_DATASET = re.compile(r"[a-z]+:")


class Option(NamedTuple):
    """A line of the configuration."""

    name: str
    value: str


class Unmapped(NamedTuple):
    """A line that is not taken over, and why."""

    name: str
    value: str
    why: str


class SingleKey(NamedTuple):
    """A key that the configuration itself names."""

    domain: str
    selector: str
    file: str


Refused = Callable[[str, Mapping[str, Value] | SingleKey], str]
"""From a section and settings, or a key, to what is wanted in their place; "" where they are good."""


class Imported(NamedTuple):
    """What became of it. ``settings`` are those of each section of ours; ``daemons`` are the sections of the daemons
    that do its work.
    """

    settings: dict[str, dict[str, Value]]
    keys: tuple[SingleKey, ...]
    unmapped: tuple[Unmapped, ...]
    notes: tuple[str, ...]
    daemons: tuple[str, ...] = ()


def parse(text: str, read: Read, depth: int = 0) -> list[Option]:
    """Return the lines of a configuration, those of included files in their place. Raises ValueError."""
    found: list[Option] = []
    for number, line in enumerate(text.splitlines(), 1):
        name, _, value = line.partition("#")[0].strip().replace("\t", " ").partition(" ")
        if not name:
            continue
        if not value.strip():
            raise ValueError(f"line {number}: found {name!r} without a value")
        if name.lower() != "include":
            found.append(Option(name, value.strip()))
        elif depth == _MAX_DEPTH:
            raise ValueError(f"line {number}: files include each other")
        else:
            found += parse(read(value.strip()), read, depth + 1)
    if found and not depth and not any(option.name.lower() in {*_TAKERS, *WHY} for option in found):
        raise ValueError(f"this does not look like opendkim.conf: found {found[0].name[:80]!a}, and no line that "
                         "begins with a setting of opendkim, such as KeyTable")  # fmt: skip
    return found


def convert(options: Sequence[Option], read: Read, refused: Refused = lambda *_: "") -> Imported:
    """Say a configuration in ours. What is ``refused`` is not taken over."""
    work = _Work(options, read, refused)
    for option in sorted(options, key=lambda one: one.name.lower() != "on-default"):  # others override it
        work.take(option)
    work.finish()
    return Imported(work.settings, tuple(work.keys), tuple(work.unmapped), tuple(work.notes), work.daemons)


_FIELDS = frozenset((*OVERSIGNED, *SIGNED))
_ACTIONS = {"a": "accept", "r": "reject", "t": "defer", "q": "quarantine", "d": "discard"}


class _Work:
    """Takes one option after the other."""

    def __init__(self, options: Sequence[Option], read: Read, refused: Refused) -> None:
        self._all = {option.name.lower(): option.value for option in options}
        self._read, self._refused = read, refused
        mode = self._all.get("mode", "sv").lower()
        self._signs = "s" in mode
        self.daemons = tuple(name for letter, name in (("s", "dkim.sign"), ("v", "dkim.verify")) if letter in mode)
        self.settings: dict[str, dict[str, Value]] = {}
        self.keys: list[SingleKey] = []
        self.unmapped: list[Unmapped] = []
        self.notes: list[str] = []

    def take(self, option: Option) -> None:
        """Take over an option, or say why not."""
        name = option.name.lower()
        takers = _TAKERS.get(name)
        if takers is None:
            why = WHY.get(name, NONE)
        else:
            try:
                why = takers(self, option.value)
            except ValueError as error:  # of a number that is none, a file that can't be read, what we would refuse
                why = str(error)
        if why:
            self.unmapped.append(Unmapped(option.name, option.value, why))

    def finish(self) -> None:
        """See to what takes several options."""
        if not self._signs:
            self.settings.pop("dkim.sign", None)
            self.notes.append("it signs nothing (Mode): what it says of keys and signing is left out")
            return
        signing = self.settings.get("dkim.sign", {})
        tables = [name for name in ("key_table", "signing_table") if name in signing]
        if len(tables) == 1:
            self.unmapped.append(Unmapped(tables[0], str(signing.pop(tables[0])), "it needs the other table"))
        if "keytable" not in self._all:
            self._single("keyfile", "selector")
            self._single("keyfileed25519", "selectored25519")
            if self.keys:
                self._set("dkim.sign", "subdomains", _yes(self._all.get("subdomains", "no")))
        if self.keys or "key_table" in self.settings.get("dkim.sign", {}):
            self._set("dkim.sign", "login_mismatch", "sign")
            self.notes.append('whatever a login writes into From is signed there, and login_mismatch = "sign" keeps it '
                              "so; without that line nobody is signed for who writes in the name of another")
            self.notes.append("mail with several From fields is refused here: see several_from in [dkim.sign]")
            if "daemon_names" not in self.settings["dkim.sign"]:
                self.notes.append('signed is also what comes in by a service of the name ORIGINATING: "daemon_names = '
                                  '[]" in [dkim.sign] changes that')
        if "signaturettl" not in self._all:
            self.notes.append("signatures hold 7 days here (valid in [dkim.sign]), and held for ever there")
        if "canonicalization" not in self._all:
            self.notes.append("the canonical form is relaxed/relaxed here, which breaks less than the other's default")
        self.notes.append("more fields are oversigned here than there: see oversign in [dkim.sign]")

    def _set(self, section: str, name: str, value: Value, beside: Mapping[str, Value] = MappingProxyType({})) -> None:
        """Take over a setting, which may need others ``beside`` it; of a list what is good of it. Raises ValueError for
        the rest.
        """
        wanted = self._refused(section, {**beside, name: value})
        strange = []
        if wanted and isinstance(value, list):
            strange = [one for one in value if self._refused(section, {name: [one]})]
        if wanted and not strange:
            raise ValueError(f"{name} in [{section}] takes no such value: wanted {wanted}")
        if isinstance(value, list):
            value = [one for one in value if one not in strange]
        self.settings.setdefault(section, {})[name] = value
        if strange:
            raise ValueError(f"{', '.join(strange)}: wanted {wanted} ({name} in [{section}])")

    def _path(self, path: str) -> str:
        return posixpath.normpath(posixpath.join(self._all.get("basedirectory", "/"), path))

    def _dataset(self, value: str) -> list[str]:
        """Return what a data set has. Raises ValueError for one that is neither a list nor a file."""
        kind = _DATASET.match(value)
        if value.startswith(("/", "./", "../")) or (kind and kind[0] in ("file:", "refile:")):
            path = self._path(value[len(kind[0]) if kind else 0 :])
            lines = (line.partition("#")[0].strip() for line in self._read(path).splitlines())
            return [line for line in lines if line]
        if kind and kind[0] != "csl:" and kind[0] not in ("inet:",):
            raise ValueError(f"only lists and files are read, not {kind[0]}")
        listed = value[len(kind[0]) :] if kind and kind[0] == "csl:" else value
        return [one for one in re.split(r"[,\s]+", listed) if one]

    # --- whose mail, which keys ---

    def _single(self, file: str, selector: str) -> None:
        if file not in self._all:
            return
        for domain in self._dataset(self._all.get("domain", "")):
            if selector not in self._all or not ascii_name(domain):
                continue
            key = SingleKey(ascii_name(domain), self._all[selector], self._path(self._all[file]))
            if wanted := self._refused("dkim.sign", key):
                self.unmapped.append(Unmapped("Domain", domain, f"no key for it, by selector {key.selector} and file "
                                                                f"{key.file}: wanted {wanted}"))
            else:
                self.keys.append(key)

    def single(self, _: str) -> str:
        """See what ``finish`` makes of it."""
        if "keytable" in self._all:
            return "it says nothing beside a KeyTable"
        missing = [name for name in ("domain", "selector", "keyfile") if name not in self._all]
        if missing and not ("keyfileed25519" in self._all and "selectored25519" in self._all):
            return f"without {' and '.join(missing)} no mail is signed"
        return ""

    def domain(self, value: str) -> str:
        """Look whether the domains can be read."""
        strange = [one for one in self._dataset(value) if not ascii_name(one)]
        return f"{strange[0]} is no domain" if strange else self.single(value)

    def key_table(self, value: str) -> str:
        """A table of keys."""
        return self._table("key_table", value)

    def signing_table(self, value: str) -> str:
        """A table of who signs for whom."""
        return self._table("signing_table", value)

    def _table(self, name: str, value: str) -> str:
        kind = _DATASET.match(value)
        if kind and kind[0] not in ("file:", "refile:"):
            return f"only files are read, not {kind[0]}"
        path = self._path(value[len(kind[0]) if kind else 0 :])
        other = "signing_table" if name == "key_table" else "key_table"
        self._set("dkim.sign", name, f"{kind[0] if kind else ''}{path}", {other: "/there"})
        return ""

    def internal_hosts(self, value: str) -> str:
        """Networks whose mail is signed."""
        found, strange = [], []
        for one in self._dataset(value):
            try:
                found.append(str(ipaddress.ip_network(one.strip("[]"), strict=False)))
            except ValueError:
                if one != "localhost":
                    strange.append(one)
        self._set("dkim.sign", "networks", found)
        return f"{', '.join(strange)}: networks has addresses only, no names and no exceptions" if strange else ""

    def mta(self, value: str) -> str:
        """Names of services."""
        self._names(self._dataset(value))
        return ""

    def macro_list(self, value: str) -> str:
        """Macros that say who is one of ours."""
        strange = []
        for one in self._dataset(value):
            macro, _, values = one.partition("|")
            macro = macro.strip("{}")
            if macro == "daemon_name" and values:
                self._names(values.split("|"))
            elif macro not in ("auth_type", "auth_authen", "auth_author"):
                strange.append(one)
        return f"{', '.join(strange)}: only daemon_name and those of a login are looked at" if strange else ""

    def _names(self, names: Sequence[str]) -> None:
        known = self.settings.get("dkim.sign", {}).get("daemon_names", [])
        assert isinstance(known, list)
        self._set("dkim.sign", "daemon_names", [*known, *(name for name in names if name not in known)])

    def exempt_recipients(self, value: str) -> str:
        """Recipients for whom nothing is signed."""
        return self._addresses("exempt_recipients", self._dataset(value))

    def exempt_domains(self, value: str) -> str:
        """Authors whose mail is left alone."""
        domains = [one if one.startswith(".") else f"@{one}" for one in self._dataset(value)]
        why = self._addresses("exempt_domains", domains)
        return why or "their mail is not signed; what comes in of them is verified all the same"

    def _addresses(self, name: str, entries: Sequence[str]) -> str:
        entries = [one[1:] if one.startswith("*@") else one for one in entries]
        strange = [one for one in entries if AddressList.parse([one], "")[1]]
        self._set("dkim.sign", name, [one for one in entries if one not in strange])
        return f"{', '.join(strange)}: wanted addresses or domains" if strange else ""

    # --- how it is signed ---

    def canonicalization(self, value: str) -> str:
        """The two forms."""
        header, _, body = value.lower().partition("/")
        if not {header, body} <= {"simple", "relaxed", ""}:
            return "wanted simple or relaxed"
        self._set("dkim.sign", "header_form", header or "simple")
        self._set("dkim.sign", "body_form", body or "simple")
        return ""

    def signature_ttl(self, value: str) -> str:
        """How long signatures hold."""
        seconds = _number(value)
        self._set("dkim.sign", "valid", f"{min(max(seconds, 0), _YEAR)}s")
        return "" if 0 <= seconds <= _YEAR else "a year is the most"

    def oversign_headers(self, value: str) -> str:
        """Fields that are signed once more than they are there."""
        return self._fields("oversign", self._dataset(value), frozenset(OVERSIGNED), "+")

    def sign_headers(self, value: str) -> str:
        """Fields that are signed: a list of its own, or changes."""
        listed = self._dataset(value)
        if "*" not in listed:
            why = self._fields("sign_headers", listed, _FIELDS, "+")
            return why or "what is signed as shipped stays so; to sign less: sign_headers = [\"-Name\"]"
        more = [one[1:] for one in listed if one.startswith("+")]
        fewer = [one[1:] for one in listed if one.startswith("-")]
        return self._fields("sign_headers", more, _FIELDS, "+") or self._fewer(fewer)

    def omit_headers(self, value: str) -> str:
        """Fields that are not signed."""
        return self._fewer([one.lstrip("+") for one in self._dataset(value) if one not in ("*", ".")])

    def _fewer(self, names: Sequence[str]) -> str:
        return self._fields("sign_headers", [name for name in names if name.lower() in _FIELDS], frozenset(), "-")

    def _fields(self, setting: str, names: Sequence[str], known: frozenset[str], sign: str) -> str:
        never = [name for name in names if sign == "+" and name.lower() in NEVER]
        changes = [f"{sign}{name}" for name in names if name.lower() not in known and name not in never]
        if "-from" in map(str.lower, changes):
            return "From is always signed (RFC 6376 5.4)"
        self._add(setting, changes)
        return f"{', '.join(never)}: servers change such fields on the way" if never else ""

    def _add(self, setting: str, changes: Sequence[str]) -> None:
        if changes:
            known = self.settings.get("dkim.sign", {}).get(setting, [])
            assert isinstance(known, list)
            self._set("dkim.sign", setting, [*known, *changes])

    def sender_headers(self, value: str) -> str:
        """Fields that name the author."""
        return "" if [one.lower() for one in self._dataset(value)] == ["from"] else "only From names an author"

    def flag(self, setting: str, value: str) -> str:
        """A yes or no."""
        self._set("dkim.sign", setting, _yes(value))
        return ""

    # --- daemons, and what is verified ---

    def mode(self, value: str) -> str:
        """What it does."""
        letters = (("s", "sign"), ("v", "verify"))
        names = [f"vaglio-dkim-{name}" for letter, name in letters if letter in value.lower()]
        if not names:
            return "wanted s, v or both"
        self.notes.append(f"Mode {value}: {' and '.join(names)} {'do' if names[1:] else 'does'} that here")
        return ""

    def socket(self, _: str) -> str:
        """Where it listened."""
        return f"for the lines of Postfix see: vaglio postconf {' '.join(self.daemons)}"

    def authserv_id(self, value: str) -> str:
        """The name in Authentication-Results."""
        if value.upper() == "HOSTNAME":
            return "the name of the host is used where nothing is set"
        self._set("identity", "authserv_id", value)
        return ""

    def nameservers(self, value: str) -> str:
        """Whom to ask."""
        self._set("dns", "servers", [one for one in re.split(r"[,\s]+", value) if one])
        return ""

    def dns_timeout(self, value: str) -> str:
        """How long to wait."""
        seconds = _number(value)
        if not 1 <= seconds <= 30:
            return "the time limit of [dns] stays as it is"
        self._set("dns", "timeout", f"{seconds}s")
        return ""

    def number(self, name: str, least: int, most: int, value: str) -> str:
        """A number of [dkim.verify]."""
        number = min(max(_number(value), least), most)
        self._set("dkim.verify", name, number)
        return "" if number == _number(value) else f"it may be {least} to {most}, and becomes {number}"

    def clock_drift(self, value: str) -> str:
        """How far clocks may differ."""
        self._set("dkim.verify", "clock_slack", f"{min(_number(value), 86400)}s")
        return ""

    def policy(self, name: str, value: str) -> str:
        """What a result leads to."""
        action = _ACTIONS.get(value[:1].lower(), "")
        if action in ("", "discard"):
            return "a message is accepted, deferred, refused or held, never thrown away"
        if name == "temperror" and action == "reject":
            self._set("dkim.verify.policies", name, "defer")
            return "what may be well tomorrow is deferred, not refused"
        self._set("dkim.verify.policies", name, action)
        return ""

    def default_policy(self, value: str) -> str:
        """All policies but that for mail without signatures."""
        return next(filter(None, [self.policy(name, value) for name in ("fail", "permerror", "temperror")]), "")

    def on_error(self, section: str, value: str) -> str:
        """The failure policy of a daemon."""
        action = {"a": "pass", "t": "defer"}.get(value[:1].lower())
        if action is None:
            return f"it is deferred or let pass: on_error in [{section}]"
        self._set(section, "on_error", action)
        return ""


def _number(value: str) -> int:
    if not _NUMBER.fullmatch(value):
        raise ValueError(f"found {value!r}, wanted a whole number")
    return int(value)


def _yes(value: str) -> bool:
    return value[:1].lower() in ("t", "y", "1")


_TAKERS: dict[str, Callable[[_Work, str], str]] = {
    "domain": _Work.domain,
    "selector": _Work.single,
    "keyfile": _Work.single,
    "selectored25519": _Work.single,
    "keyfileed25519": _Work.single,
    "keytable": _Work.key_table,
    "signingtable": _Work.signing_table,
    "internalhosts": _Work.internal_hosts,
    "mta": _Work.mta,
    "macrolist": _Work.macro_list,
    "dontsignmailto": _Work.exempt_recipients,
    "exemptdomains": _Work.exempt_domains,
    "canonicalization": _Work.canonicalization,
    "signaturettl": _Work.signature_ttl,
    "oversignheaders": _Work.oversign_headers,
    "signheaders": _Work.sign_headers,
    "omitheaders": _Work.omit_headers,
    "senderheaders": _Work.sender_headers,
    "multiplesignatures": lambda work, value: work.flag("all_matches", value),
    "subdomains": lambda work, value: work.flag("subdomains", value),
    "removeoldsignatures": lambda work, value: work.flag("remove_signatures", value),
    "mode": _Work.mode,
    "socket": _Work.socket,
    "authservid": _Work.authserv_id,
    "nameservers": _Work.nameservers,
    "dnstimeout": _Work.dns_timeout,
    "basedirectory": lambda *_: "",  # paths begin there
    "minimumkeybits": lambda work, value: work.number("min_key_bits", 1024, 4096, value),
    "maximumsignaturestoverify": lambda work, value: work.number("max_signatures", 1, 15, value),
    "clockdrift": _Work.clock_drift,
    "on-default": _Work.default_policy,
    "on-badsignature": lambda work, value: work.policy("fail", value),
    "on-keynotfound": lambda work, value: work.policy("permerror", value),
    "on-dnserror": lambda work, value: work.policy("temperror", value),
    "on-nosignature": lambda work, value: work.policy("none", value),
    "on-internalerror": lambda work, value: work.on_error("dkim.verify", value),
    "on-signatureerror": lambda work, value: work.on_error("dkim.sign", value),
}
