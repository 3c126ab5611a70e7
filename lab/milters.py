"""Vaglio's milters in the lab: wired by the shipped lines, with SPF records to judge by, and letters to be judged."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Mapping
from pathlib import Path

from lab.postfix import MailHost, queue
from lab.space import HOME, Space

EXAMPLES = Path(__file__).resolve().parents[1] / "examples/postfix"
SUBMISSION = EXAMPLES / "master.cf.milters"

ENGINES = ("native", "libmilter")

ZONE = """\
$TTL 60
nomail.test.    IN TXT "v=spf1 -all"
strict.test.    IN TXT "v=spf1 ip4:192.0.2.25 -all"
hold.test.      IN TXT "v=spf1 ip4:192.0.2.25 -all"
percent.test.   IN TXT "v=spf1 ip4:192.0.2.25 -all"
"""
"""Domains with a record each, for ``RULES``; tizio.it has one in zones/."""

RULES = """\
[[spf.rule]]
senders = ["strict.test", "percent.test"]
mail_from.fail = "reject"

[[spf.rule]]
senders = ["hold.test"]
mail_from.fail = "quarantine"
"""


_SECTIONS = (("chain.inbound", "inbound"), ("chain.outbound", "outbound"), ("dkim.verify", "dkim-verify"),
             ("score", "score"), ("tag", "tag"), ("spf", "spf"))  # fmt: skip
"""With the names of their sockets; that of SPF is the last, since it may end in tables of its own."""


def missing(engine: str) -> str:
    """Return why there is no such engine here; "" if there is."""
    if engine == "libmilter" and not importlib.util.find_spec("Milter"):
        return "pymilter is not installed (the extra vaglio[libmilter])"
    if engine == "libmilter" and not importlib.util.find_spec("vaglio.milter.libmilter"):
        return "there is no engine libmilter"
    return ""


def settings(chains: bool = True) -> dict[str, str]:
    """Return the shipped lines of main.cf as parameters: those of the chains, or those of vaglio-spf alone."""
    text = (EXAMPLES / "main.cf.milters").read_text()
    found = dict(re.findall(r"^(\w+) = (.*)", text, re.MULTILINE))
    if not chains:
        found |= dict(re.findall(r"^#(\w+) = (.*)", text, re.MULTILINE))
    return found


def of_chain(name: str) -> dict[str, str]:
    """Return those of the shipped lines that wire one chain."""
    other = "outbound" if name == "inbound" else "inbound"
    return {key: value for key, value in settings().items() if other not in value}


def folder(host: MailHost) -> str:
    """Return where the sockets of the shipped lines are for this host, as a path in the lab."""
    return f"{queue(host)}/vaglio"


def make_folder(space: Space, host: MailHost) -> None:
    """Make the place for sockets, as the units do."""
    space.path(folder(host)).mkdir(parents=True)


def toml(where: str, engine: str = "native", spf: str = "", sections: Mapping[str, str] | None = None) -> str:
    """Return a configuration of caio's milters with sockets in the folder ``where``: settings of [spf], and of other
    sections by name, such as "chain.inbound", all as TOML.
    """
    lines = [
        f'[identity]\nauthserv_id = "mail.caio.it"\nhostname = "mail.caio.it"\n[state]\nurl = "sqlite://{HOME}/vaglio"'
    ]
    for section, name in _SECTIONS:
        own = spf if name == "spf" else (sections or {}).get(section, "")
        socket = f'listen = ["unix:{where}/{name}.sock"]\nsocket_group = "postfix"\nengine = "{engine}"'
        lines.append(f"[{section}]\n{socket}\n{own}")
    return "\n".join(lines)
