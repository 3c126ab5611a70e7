"""Who may import whom: the table of the house's plan, held against every import statement.

Imports inside functions and below TYPE_CHECKING count like any other. A breach names the file, the line and the rule.
"""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]

VALUES = ("vaglio.verdict", "vaglio.facts", "vaglio.ports", "vaglio.lists", "vaglio.names", "vaglio.text",
          "vaglio.hints", "vaglio.examination", "vaglio.mailboxes")
ANYTHING = ("vaglio", "vaglio.*")

RULES: tuple[tuple[str, tuple[str, ...]], ...] = (
    # What may be imported of ours; the first pattern that fits a file counts. {check} is the check's own folder.
    ("vaglio/__init__", ()),
    ("vaglio/verdict", VALUES),
    ("vaglio/facts", VALUES),
    ("vaglio/ports", VALUES),
    ("vaglio/lists", VALUES),
    ("vaglio/names", VALUES),
    ("vaglio/text", VALUES),
    ("vaglio/hints", VALUES),
    ("vaglio/mailboxes", VALUES),
    ("vaglio/eager", VALUES),
    ("vaglio/examination", VALUES),
    ("vaglio/quick", ()),
    ("vaglio/turn", ()),
    ("vaglio/blocklists/*", (*VALUES, "vaglio.blocklists.*", "vaglio.config.types")),
    ("vaglio/checks/__init__", ()),
    ("vaglio/checks/*/__init__", ()),
    ("vaglio/checks/ratelimit/limits", ("vaglio.config.types",)),  # how a limit is written is a setting's matter
    ("vaglio/checks/*/settings", ("vaglio.config.types", "vaglio.config.entries", "vaglio.checks.{check}.limits",
                                  "vaglio.checks.tag.conditions", "vaglio.checks.tag.subject",
                                  "vaglio.checks.replytext", "vaglio.hints", "vaglio.lists", "vaglio.names",
                                  "vaglio.blocklists.settings", "vaglio.checks.dkim.signing.settings")),
    ("vaglio/checks/dkim/signing/fields", ()),
    ("vaglio/checks/dkim/signing/settings", ("vaglio.config.types", "vaglio.config.entries",
                                             "vaglio.checks.dkim.signing.fields", "vaglio.names")),
    ("vaglio/checks/dkim/signing/__init__", ()),
    ("vaglio/checks/dkim/signing/*", (*VALUES, "vaglio.checks.dkim.*", "vaglio.checks.replytext", "vaglio.eager",
                                      "vaglio.checks.listfiles")),
    # A rule file is TOML like the configuration: what is wrong with it is told in the same words, with its line.
    ("vaglio/checks/score/rule*", (*VALUES, "vaglio.checks.score.*", "vaglio.checks.listfiles", "vaglio.config.words",
                                   "vaglio.config.places")),
    ("vaglio/checks/*/*", (*VALUES, "vaglio.checks.{check}.*", "vaglio.checks.listfiles", "vaglio.checks.replytext",
                           "vaglio.checks.ownresults", "vaglio.checks.charsets",
                           "vaglio.checks.sweeping", "vaglio.blocklists.*", "vaglio.config.types", "vaglio.eager")),
    ("vaglio/checks/*", VALUES),
    ("vaglio/policy/*", (*VALUES, "vaglio.policy.*", "vaglio.eager", "vaglio.turn")),
    ("vaglio/milter/*", (*VALUES, "vaglio.milter.*", "vaglio.eager")),
    ("vaglio/dns/*", (*VALUES, "vaglio.dns.*")),
    ("vaglio/store/*", (*VALUES, "vaglio.store", "vaglio.store.*")),
    # The journal is a SQLite file like a store's, and no store.
    ("vaglio/journal/*", (*VALUES, "vaglio.journal.*", "vaglio.store.database", "vaglio.store.trouble")),
    ("vaglio/config/*", ("vaglio.config", "vaglio.config.*", "vaglio.checks.*.settings", "vaglio.checks.*.catalogue",
                         "vaglio.checks.*.linkcatalogue", "vaglio.blocklists.catalogue",
                         "vaglio.lists")),
    (
        "vaglio/daemon/*",
        (
            *VALUES, "vaglio", "vaglio.eager", "vaglio.turn", "vaglio.daemon", "vaglio.daemon.*", "vaglio.policy.*",
            "vaglio.milter.*", "vaglio.dns.*", "vaglio.store", "vaglio.store.*", "vaglio.journal", "vaglio.journal.*",
            "vaglio.config.*",
        ),
    ),
    ("vaglio/cli/*", ANYTHING),
    ("policyd/*", ANYTHING),
    ("milters/*", ANYTHING),
)  # fmt: skip

PURE = ("vaglio/verdict", "vaglio/facts", "vaglio/ports", "vaglio/lists", "vaglio/names", "vaglio/text", "vaglio/hints",
        "vaglio/mailboxes", "vaglio/checks/charsets", "vaglio/checks/*/decide",
        "vaglio/checks/dkim/canonical", "vaglio/checks/dkim/key",
        "vaglio/checks/dkim/signing/decide", "vaglio/checks/dkim/signing/sign",
        "vaglio/checks/dkim/signing/counterparts", "vaglio/checks/dkim/signing/opendkim",
        "vaglio/checks/dkim/signing/record",
        "vaglio/checks/dkim/signing/ring", "vaglio/checks/dkim/signing/tables",
        "vaglio/checks/dkim/signature", "vaglio/checks/dkim/tags", "vaglio/checks/dkim/verify",
        "vaglio/blocklists/answers", "vaglio/checks/dnsbl/localzone",
        "vaglio/checks/score/mime", "vaglio/checks/score/reading",
        "vaglio/checks/score/html*", "vaglio/checks/score/urls", "vaglio/checks/score/oddfacts",
        "vaglio/checks/score/hops", "vaglio/checks/score/known", "vaglio/checks/score/seen",
        "vaglio/checks/score/headfacts", "vaglio/checks/score/wayfacts", "vaglio/checks/score/bodyfacts",
        "vaglio/checks/score/rules", "vaglio/checks/score/patterns",
        "vaglio/checks/score/ruletext", "vaglio/checks/score/finders", "vaglio/checks/score/case",
        "vaglio/checks/score/tokens", "vaglio/checks/score/bayes", "vaglio/checks/tag/subject",
        "vaglio/checks/tag/conditions", "vaglio/checks/tag/heard",
        "vaglio/policy/parse", "vaglio/policy/render",
        "vaglio/dns/networks", "vaglio/milter/agreed", "vaglio/milter/wire", "vaglio/milter/plan",
        "vaglio/milter/combine",
        "vaglio/milter/text", "vaglio/milter/authres", "vaglio/milter/host", "vaglio/milter/session")  # fmt: skip
"""No I/O, no clock, no logging."""
IMPURE = ("os", "io", "pathlib", "logging", "asyncio", "subprocess", "threading", "random", "secrets", "http.*",
          "urllib.request", "urllib.error", "smtplib", "signal", "select", "selectors", "multiprocessing", "tempfile",
          "shutil",
          "vaglio.checks.listfiles")  # fmt: skip

HOMES: tuple[tuple[str, tuple[str, ...]], ...] = (
    # Modules that have a home, and the only files that may import them.
    ("time", ("vaglio/daemon/clock",)),
    ("sqlite3", ("vaglio/store/*", "vaglio/journal/*")),
    ("redis", ("vaglio/store/*",)),
    ("dns", ("vaglio/dns/*",)),
    ("re2", ("vaglio/lists", "vaglio/checks/score/patterns")),
    ("Milter", ("vaglio/milter/libmilter",)),
    ("milter", ("vaglio/milter/libmilter",)),
    ("dkim", ("vaglio/checks/dkim/*",)),
    ("cryptography", ("vaglio/checks/dkim/*", "vaglio/checks/dkim/signing/*")),
    ("spf", ("vaglio/checks/spf/evaluate",)),
    ("publicsuffixlist", ("vaglio/names",)),
    ("prometheus_client", ("vaglio/daemon/metrics",)),
    ("uvloop", ("vaglio/daemon/*",)),
    ("pydantic", ("vaglio/config/*", "vaglio/blocklists/settings", "vaglio/checks/*/settings",
                  "vaglio/checks/dkim/signing/settings")),
    ("pydantic_core", ("vaglio/config/*",)),
    # facts, pool and config only turn addresses into bytes and back.
    ("socket", ("vaglio/daemon/*", "vaglio/facts", "vaglio/checks/*/pool", "vaglio/config/model")),
    ("signal", ("vaglio/daemon/*",)),
    ("select", ("vaglio/daemon/*",)),
    ("smtplib", ("vaglio/daemon/*",)),
    ("subprocess", ("vaglio/cli/*", "vaglio/daemon/alert")),
    ("http", ("vaglio/daemon/alert",)),
    ("psycopg", ("vaglio/store/rows",)),
    ("pymysql", ("vaglio/store/rows",)),
    ("maxminddb", ("vaglio/store/countries",)),
    ("requests", ()),
    ("urllib.request", ()),
)
ADDRESSES_ONLY = {"inet_pton", "inet_ntop", "AF_INET", "AF_INET6"}
"""What files outside daemon/ may use of ``socket``."""

CATCHES_ALL = {"vaglio/daemon/guard"}
PASSES_ON = {"vaglio/eager"}
"""Catches BaseException to hand it to the coroutine that it is for."""


class Import(NamedTuple):
    file: str
    line: int
    module: str


def file_name(path: Path) -> str:
    """Return ``vaglio/policy/parse`` or ``policyd/greylist``."""
    relative = path.relative_to(ROOT).with_suffix("").as_posix()
    return relative.removeprefix("src/")


FILES = {
    file_name(path): ast.parse(path.read_text())
    for folder in ("src/vaglio", "policyd", "milters")
    for path in sorted((ROOT / folder).rglob("*.py"))
}
MODULES = {re.sub(r"/__init__$", "", name).replace("/", ".") for name in FILES}


@functools.cache
def imports(file: str) -> tuple[Import, ...]:
    """Return every module that a file imports: of ``from vaglio.daemon import clock``, vaglio.daemon.clock."""
    return tuple(_imports(file))


def _imports(file: str) -> Iterator[Import]:
    for node in ast.walk(FILES[file]):
        if isinstance(node, ast.Import):
            yield from (Import(file, node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno}: imports are absolute"
            base = node.module or ""
            for alias in node.names:
                whole = f"{base}.{alias.name}"
                yield Import(file, node.lineno, whole if whole in MODULES else base)


def allowed(file: str) -> tuple[str, ...]:
    """Return the patterns of what a file may import of ours."""
    check = file.split("/")[2] if file.startswith("vaglio/checks/") else ""
    found = next((may for pattern, may in RULES if _fits(file, pattern)), None)
    assert found is not None, f"{file}: there is no rule for it in RULES"
    return tuple(pattern.format(check=check) for pattern in found)


def _fits(file: str, pattern: str) -> bool:
    """``*`` stands for one folder or file."""
    return file.count("/") == pattern.count("/") and fnmatchcase(file, pattern)


def _is(module: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(module, pattern) for pattern in patterns)


def is_breach(found: Import) -> bool:
    return found.module.split(".")[0] == "vaglio" and not _is(found.module, allowed(found.file))


@pytest.mark.parametrize("file", FILES)
def test_a_file_imports_only_what_it_may(file: str) -> None:
    breaches = [f"{one.file}:{one.line} imports {one.module}" for one in imports(file) if is_breach(one)]
    assert breaches == []


@pytest.mark.parametrize("file", FILES)
def test_nobody_imports_the_outermost_ring(file: str) -> None:
    outermost = ("policyd*", "milters*", "vaglio_policyd*", "vaglio_milters*", "vaglio.cli*", "lab.*", "tests.*",
                 "bench.*")  # fmt: skip
    if not file.startswith("vaglio/cli/") and file != "milters/chain":  # which hosts the other milters' checks
        assert [one for one in imports(file) if _is(one.module, outermost)] == []


@pytest.mark.parametrize("file", FILES)
def test_a_library_with_a_home_is_imported_nowhere_else(file: str) -> None:
    for module, homes in HOMES:
        strays = [one for one in imports(file) if _is(one.module, (module, f"{module}.*"))]
        if not any(_fits(file, home) for home in homes):
            assert strays == []


@pytest.mark.parametrize("file", [file for file in FILES if any(_fits(file, pattern) for pattern in PURE)])
def test_decisions_are_pure(file: str) -> None:
    assert [one for one in imports(file) if _is(one.module, IMPURE)] == []


@pytest.mark.parametrize("file", [file for file in FILES if not file.startswith("vaglio/daemon/")])
def test_sockets_are_the_daemons(file: str) -> None:
    used = {
        node.attr
        for node in ast.walk(FILES[file])
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "socket"
    }
    assert used <= ADDRESSES_ONLY


@pytest.mark.parametrize("file", FILES)
def test_only_the_guard_catches_every_exception(file: str) -> None:
    for node in ast.walk(FILES[file]):
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None, f"{file}:{node.lineno}: a bare except"
            caught = {name.id for name in ast.walk(node.type) if isinstance(name, ast.Name)}
            assert "Exception" not in caught or file in CATCHES_ALL, f"{file}:{node.lineno}"
            assert "BaseException" not in caught or file in PASSES_ON, f"{file}:{node.lineno}"


def test_what_is_suppressed_is_named() -> None:
    for file, tree in FILES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "suppress":
                names = {name.id for argument in node.args for name in ast.walk(argument) if isinstance(name, ast.Name)}
                assert not names & {"Exception", "BaseException"}, f"{file}:{node.lineno}"


# --- the rules themselves ---


@pytest.mark.parametrize(
    ("file", "module"),
    [
        ("vaglio/verdict", "vaglio.policy.parse"),
        ("vaglio/checks/greylist/decide", "vaglio.store"),
        ("vaglio/checks/greylist/check", "vaglio.checks.dnsbl.decide"),
        ("vaglio/checks/greylist/check", "vaglio.daemon.clock"),
        ("vaglio/checks/greylist/settings", "vaglio.checks.greylist.decide"),
        ("vaglio/checks/listfiles", "vaglio.checks.greylist.decide"),
        ("vaglio/policy/serve", "vaglio.checks.greylist.check"),
        ("vaglio/policy/serve", "vaglio.daemon.log"),
        ("vaglio/store/sqlite", "vaglio.config.model"),
        ("vaglio/journal/query", "vaglio.store.files"),
        ("vaglio/journal/writer", "vaglio.store"),
        ("vaglio/journal/writer", "vaglio.store.sqlite"),
        ("vaglio/dns/resolver", "vaglio.config.model"),
        ("vaglio/config/model", "vaglio.checks.greylist.decide"),
        ("vaglio/daemon/worker", "vaglio.checks.greylist.check"),
        ("vaglio/daemon/worker", "vaglio.cli.main"),
    ],
)
def test_the_rules_refuse_what_they_should(file: str, module: str) -> None:
    assert is_breach(Import(file, 1, module))


def test_a_file_without_a_rule_is_an_error() -> None:
    with pytest.raises(AssertionError, match="there is no rule"):
        allowed("vaglio/new/thing")
