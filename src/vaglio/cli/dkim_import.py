"""``vaglio dkim import``: the configuration of opendkim or dkimpy-milter, said in ours; keys come along if asked."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from vaglio.checks.dkim.signing.opendkim import Imported, SingleKey, Value, convert, parse
from vaglio.checks.dkim.signing.record import kind
from vaglio.checks.dkim.signing.ring import adopt
from vaglio.checks.dkim.signing.sign import BadKey, private_key
from vaglio.cli.arguments import unix_time
from vaglio.cli.common import CliError, Commands, clean, command, configuration, now, print_json, said, usual_options
from vaglio.cli.dkim_folder import Folder, key_directory
from vaglio.config.load import ConfigError, Loaded, load
from vaglio.config.words import as_toml

_USUAL = Path("/etc/opendkim.conf")
_LARGEST = 10 << 20
_MORE = """\
Prints the lines for our configuration file, and what has no counterpart here, with the reason. Changes nothing but with
--copy-keys, which copies keys that the file itself names (KeyFile, KeyFileEd25519) into key_dir, where they sign from
then on and "vaglio dkim rotate" can replace them. Keys of a KeyTable stay where they are: the tables are read as they
are. Paths in the file are taken as opendkim takes them."""


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
                        help="copy keys that it names into key_dir, where they sign")  # fmt: skip
    parser.add_argument("--now", type=unix_time, metavar="UNIX", help="the time, for keys.json")
    usual_options(parser)


def _import(args: argparse.Namespace) -> int:
    loaded = configuration(args)
    try:
        found = convert(parse(_text(str(args.file)), _text), _text, _refused)
    except ValueError as error:
        raise CliError(f"{args.file}: {error}") from error
    copied = [_copy(one, loaded, now(args)) for one in found.keys] if args.copy_keys else []
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
    if found.keys and not copied:
        print("# --copy-keys copies these keys to where vaglio dkim rotate can replace them")
