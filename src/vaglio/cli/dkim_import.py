"""``vaglio dkim import``: the configuration of opendkim or dkimpy-milter, said in ours; keys come along if asked."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from vaglio.checks.dkim.signing.opendkim import Imported, SingleKey, Value, convert, parse
from vaglio.checks.dkim.signing.record import kind
from vaglio.checks.dkim.signing.ring import adopt
from vaglio.checks.dkim.signing.sign import BadKey, private_key
from vaglio.checks.dkim.signing.tables import Source, Tables, Unusable
from vaglio.cli.arguments import unix_time
from vaglio.cli.common import CliError, Commands, clean, command, configuration, now, print_json, said, usual_options
from vaglio.cli.dkim_folder import Folder, key_directory
from vaglio.config.load import ConfigError, Loaded, load
from vaglio.config.words import as_toml

_USUAL = Path("/etc/opendkim.conf")
_LARGEST = 10 << 20
_MORE = """\
Prints the lines for our configuration file, and what has no counterpart here, with the reason. Changes nothing but with
--copy-keys, which copies keys into key_dir, where they sign from then on and "vaglio dkim rotate" can replace them:
those that the file itself names (KeyFile, KeyFileEd25519), and those of the KeyTable that sign for all authors of their
own domain. Which of a table are not copied is said; they sign on as the tables have it. Paths in the file are taken as
opendkim takes them."""


def add_to(commands: Commands) -> None:
    """Add the subcommand."""
    parser = command(
        commands, "import", _import, "say the configuration of opendkim or dkimpy-milter in ours",
        "vaglio dkim import                               # /etc/opendkim.conf\n"
        "vaglio dkim import /etc/dkimpy-milter/dkimpy-milter.conf\n"
        "vaglio dkim import /etc/opendkim.conf --copy-keys",
        _MORE,
    )  # fmt: skip
    parser.add_argument("file", nargs="?", type=Path, default=_USUAL, metavar="FILE",
                        help=f"the configuration file (default {_USUAL})")  # fmt: skip
    parser.add_argument("--copy-keys", action="store_true",
                        help="copy keys that it or its KeyTable names into key_dir, where they sign")  # fmt: skip
    parser.add_argument("--now", type=unix_time, metavar="UNIX", help="the time, for keys.json")
    usual_options(parser)


def _import(args: argparse.Namespace) -> int:
    loaded = configuration(args)
    try:
        text = _text(str(args.file))
    except ValueError as error:
        raise CliError(str(error)) from error
    try:
        found = convert(parse(text, _text), _text, _refused)
        copied: list[str] = []
        if args.copy_keys:
            of_tables, why = _of_tables(found)
            found = found._replace(notes=(*found.notes, *why))
            copied = [_copy(one, loaded, now(args)) for one in (*found.keys, *of_tables)]
    except ValueError as error:
        raise CliError(f"{args.file}: {error}") from error
    lines = _lines(found, with_keys=not args.copy_keys)
    if args.json:
        print_json(_document(found, lines, copied))
    else:
        _tell(args.file, found, lines, copied)
    return 0


def _text(path: str) -> str:
    try:
        with Path(path).open("rb") as file:
            return file.read(_LARGEST).decode("utf-8", "replace")
    except OSError as error:
        raise ValueError(f"{path}: {said(error)}") from None


def _refused(section: str, settings: Mapping[str, Value] | SingleKey) -> str:
    """Say what our configuration wants in place of settings; "" where it takes them."""
    if isinstance(settings, SingleKey):
        lines = _key_lines(settings)
    else:
        lines = [f"[{section}]", *(f"{name} = {as_toml(value)}" for name, value in settings.items())]
    with NamedTemporaryFile("w", suffix=".toml", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
        file.flush()
        try:
            load(Path(file.name), {})
        except ConfigError as error:
            return error.problems[0].wanted
    return ""


def _of_tables(found: Imported) -> tuple[list[SingleKey], list[str]]:
    """Return the keys of the tables that sign for all authors of their own domain, and what is to be known of the
    others. Raises ValueError.
    """
    signing = found.settings.get("dkim.sign", {})
    if "key_table" not in signing:
        return [], []
    tables, problems = Tables.parse(_source(signing["key_table"]), _source(signing["signing_table"]))
    notes = [f"no key is copied of a line that can't be used: {problem}" for problem in problems]
    if tables.is_open:
        notes.append('lines of the KeyTable with "%" for the domain are copied for domains that the SigningTable names')
    copied = []
    for entry in tables.entries():
        try:
            own = tables.find("", entry.domain, every=signing.get("all_matches") is True)
        except Unusable:
            own = ()
        if entry in own and not entry.identity:
            copied.append(SingleKey(*entry[:3]))
        else:
            why = "has an identity (i=)" if entry.identity else f"is not for all authors of {entry.domain}"
            notes.append(f"{entry.file} is not copied, since its line of the SigningTable {why}: it signs on by the "
                         f'tables; "vaglio dkim new {entry.domain}" makes keys that rotate can replace')  # fmt: skip
    if copied:
        notes.append("what is in key_dir comes before the tables: those stay for what is not copied, and for authors "
                     "of other domains; without any such, leave out key_table and signing_table")  # fmt: skip
    return copied, notes


def _source(value: Value) -> Source:
    path = str(value)
    is_pattern = path.startswith("refile:")
    path = path.removeprefix("refile:").removeprefix("file:")
    return Source(_text(path), path, is_pattern)


def _copy(one: SingleKey, loaded: Loaded, unix: float) -> str:
    """Copy a key into its folder, signing; return where it is. One that is there already is left alone."""
    try:
        pem = Path(one.file).read_bytes()
        key = private_key(pem)
    except OSError as error:
        raise CliError(f"{one.file}: {said(error)}") from error
    except BadKey as error:
        raise CliError(f"{one.file}: {error}") from error
    folder = Folder(key_directory(loaded), one.domain)
    with folder.change() as change:
        ring = change.load()
        there = next((old for old in ring.keys if old.selector == one.selector), None)
        if there is not None:
            if change.key(there).public != key.public:
                raise CliError(f"{folder.path} has another key with the selector {one.selector}")
            return str(folder.path / there.file)
        try:
            ring = adopt(ring, one.selector, "rsa" if kind(key.algorithm) == "rsa" else "ed25519", unix)
            file = ring.keys[-1].file
            change.add(file, pem)
        except FileExistsError:
            raise CliError(f"{folder.path / file} is there already: nothing is overwritten") from None
        except ValueError as error:
            raise CliError(str(error)) from error
        change.save(ring)
    return str(folder.path / file)


def _lines(found: Imported, *, with_keys: bool) -> list[str]:
    """Return the lines of our configuration."""
    lines: list[str] = []
    for section, settings in sorted(found.settings.items()):
        lines += [*([""] if lines else []), f"[{section}]",
                  *(f"{name} = {as_toml(value)}" for name, value in settings.items())]  # fmt: skip
    for one in found.keys if with_keys else ():
        lines += ["", *_key_lines(one)]
    return lines


def _key_lines(one: SingleKey) -> list[str]:
    return ["[[dkim.sign.keys]]", *(f"{name} = {as_toml(value)}" for name, value in one._asdict().items())]


def _document(found: Imported, lines: Sequence[str], copied: Sequence[str]) -> dict[str, Any]:
    return {
        "toml": "\n".join(lines) + "\n",
        "settings": found.settings,
        "keys": [one._asdict() for one in found.keys],
        "copied": list(copied),
        "not_taken_over": [{"option": one.name, "value": one.value, "why": one.why} for one in found.unmapped],
        "notes": list(found.notes),
    }


def _tell(file: Path, found: Imported, lines: Sequence[str], copied: Sequence[str]) -> None:
    print(f"# what {clean(file)} says, for /etc/vaglio/vaglio.toml")
    print("\n".join(map(clean, lines)))
    print()
    for line in found.notes:
        print(clean(f"# to know: {line}"))
    for one in found.unmapped:
        print(clean(f"# {one.name} {one.value}: {one.why}"))
    for path in copied:
        print(clean(f"# signs from now on: {path}"))
    if (found.keys or "key_table" in found.settings.get("dkim.sign", {})) and not copied:
        print("# --copy-keys copies these keys to where vaglio dkim rotate can replace them")
    for number, step in enumerate(_steps(found, copied), 1):
        print(clean(f"# step {number}: {step}"))


def _steps(found: Imported, copied: Sequence[str]) -> Iterator[str]:
    """Yield what is to be done then."""
    signing = found.settings.get("dkim.sign", {})
    if "key_table" in signing or (found.keys and not copied):
        yield ('let the user vaglio read the keys and their folders, as "Rights of key files" in docs/dkim.md has it: '
               "chown root:vaglio, chmod 0640, folders 0750")  # fmt: skip
    yield "stop opendkim, and start " + " and ".join(f"vaglio-{name.replace('.', '-')}" for name in found.daemons)
    yield f"wire them into Postfix in its place: vaglio postconf {' '.join(found.daemons)}"
    if "dkim.sign" in found.daemons:
        yield "see whether all keys can be read and fit: vaglio dkim check"
