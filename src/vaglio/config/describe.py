"""The configuration for reading: all defaults as a commented file, and what is in force and where it comes from.

The texts are the docstrings below the fields of the settings classes, read from their source, so that they
can't drift. What several sections have in common is explained at the first of them. For the admin's command only:
daemons do not import this file.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, get_args, get_origin

from pydantic import BaseModel

from vaglio.config.load import Loaded
from vaglio.config.model import VaglioConfig
from vaglio.config.places import Path
from vaglio.config.words import Kind, dotted, is_section, kind_of, written

_WIDTH = 100
_HEADING = """\
Every setting of Vaglio with its default value, as "vaglio config defaults" prints it.
To change one, remove the "#" before it.

{model}
"""


_Told = dict[tuple[str, str], str]
"""Where a key of this name and explanation was explained: the dotted name of that section."""


def defaults(model: type[BaseModel] = VaglioConfig) -> str:
    """Return a whole configuration file: each section and key with its explanation and, behind "#", its default."""
    heading = _HEADING.format(model=inspect.getdoc(model))
    return "\n".join([*_comment(heading), *_section_lines(model, (), {})]) + "\n"


def field_texts(model: type[BaseModel]) -> dict[str, str]:
    """Return the docstring of each field of a settings class, those of its base classes included."""
    texts: dict[str, str] = {}
    for cls in reversed(model.__mro__):
        if is_section(cls) and cls is not BaseModel:
            texts |= _own_texts(cls)
    return texts


def _own_texts(cls: type) -> dict[str, str]:
    body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]
    assert isinstance(body, ast.ClassDef)
    return {
        field.target.id: inspect.cleandoc(text.value.value)
        for field, text in zip(body.body, body.body[1:], strict=False)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }


def _section_lines(model: type[BaseModel], path: Path, told: _Told) -> Iterator[str]:
    """Yield the lines of a section: first its own keys, then the tables in it (TOML needs this order)."""
    texts = field_texts(model)
    kinds = {name: kind_of(field) for name, field in model.model_fields.items()}
    plain = [name for name, kind in kinds.items() if _table_of(kind) is None]
    known = {name: section for name in plain if (section := told.get((name, texts[name])))}
    for name in plain:
        if name not in known:
            told[name, texts[name]] = dotted(path)
            yield from ("", *_comment(texts[name]), _key_line(model, name, kinds[name]))
    for section in dict.fromkeys(known.values()):
        yield from ("", *_comment(f"As explained in [{section}]:"))
        yield from (_key_line(model, name, kinds[name]) for name in known if known[name] == section)
    for name, kind in kinds.items():
        table = _table_of(kind)
        if is_section(kind.type):
            yield from ("", *_comment(inspect.getdoc(kind.type) or ""), f"[{dotted((*path, name))}]")
            yield from _section_lines(kind.type, (*path, name), told)
        elif table is not None:
            yield from _repeated_lines(table, kind, (*path, name), texts[name], told)
            shipped = model.model_fields[name].get_default(call_default_factory=True)
            if isinstance(shipped, list):
                yield from _shipped_lines(shipped[1:], (*path, name))


def _key_line(model: type[BaseModel], name: str, kind: Kind) -> str:
    field = model.model_fields[name]
    value = (field.examples or [None])[0] if field.is_required() else field.get_default(call_default_factory=True)
    return f"#{name} = {written(kind, value)}" if value is not None else f"# {name} = {_example(kind)}"


def _repeated_lines(table: type[BaseModel], kind: Kind, path: Path, text: str, told: _Told) -> Iterator[str]:
    """Yield a table of which there may be several, as an example."""
    name = dotted(path)
    yield from ("", *_comment(f"{text}\n{inspect.getdoc(table) or ''}"))
    yield f"#   [[{name}]]" if get_origin(kind.type) is list else f"#   [{name}.NAME]"
    for line in _section_lines(table, path, told):
        yield f"#   {line if line.startswith('# ') else line.removeprefix('#')}".rstrip()


def _shipped_lines(shipped: Sequence[BaseModel], path: Path) -> Iterator[str]:
    """Yield the tables of a list that ship, but for the first, which the example shows: what they have of their own."""
    for table in shipped:
        yield from ("", f"#   [[{dotted(path)}]]")
        for name, field in type(table).model_fields.items():
            value = getattr(table, name)
            if value != field.get_default(call_default_factory=True):
                yield f"#   {name} = {written(kind_of(field), value)}"


def _table_of(kind: Kind) -> type[BaseModel] | None:
    """Return the settings class behind a section, a list of tables or a table of tables; None for plain values."""
    for candidate in (kind.type, *get_args(kind.type)[-1:]):
        if is_section(candidate):
            return candidate  # type: ignore[no-any-return]
    return None


def _example(kind: Kind) -> str:
    """Return an example for a key without a default."""
    inner = kind_of(next(choice for choice in get_args(kind.type) if choice is not type(None)))
    return written(inner, 300) if inner.type is int else '"..."'


def _comment(text: str) -> list[str]:
    lines = [line for paragraph in text.split("\n\n") for line in textwrap.wrap(paragraph, _WIDTH - 2)]
    return [f"# {line}".replace("``", "") for line in lines]


HIDDEN = "***"
"""Stands for the value of a key that nobody may read (a field with ``repr=False``)."""


class Setting(NamedTuple):
    """One setting in force: its dotted key, its value in TOML and in JSON, and where it comes from:
    "default", ``FILE:LINE`` or "environment STATE_DIRECTORY".
    """

    key: str
    value: str
    plain: Any
    origin: str


def show(loaded: Loaded) -> list[Setting]:
    """Return all settings in force, in the order of ``defaults``."""
    return [
        Setting(dotted(path), written(kind, value), value, loaded.origins.get(dotted(path), "default"))
        for path, kind, value in _values(loaded.config, ())
    ]


def show_json(loaded: Loaded) -> dict[str, Any]:
    """Return the same for ``--json``: durations in seconds, sizes in bytes; ``file`` is null without a file."""
    settings = [{"key": row.key, "value": row.plain, "origin": row.origin} for row in show(loaded)]
    file = None if loaded.path is None else str(loaded.path)
    return {"file": file, "settings": settings, "warnings": list(loaded.warnings)}


def _values(section: BaseModel, path: Path) -> Iterator[tuple[Path, Kind, Any]]:
    for name, field in type(section).model_fields.items():
        value, kind = getattr(section, name), kind_of(field)
        if value and not field.repr:
            value = HIDDEN
        if value is not None:  # an optional key that is not set
            yield from _inner_values(value, kind, (*path, name))


def _inner_values(value: Any, kind: Kind, path: Path) -> Iterator[tuple[Path, Kind, Any]]:
    """Yield the leaves: tables and lists of tables are taken apart, empty ones and lists of values are leaves."""
    if isinstance(value, BaseModel):
        yield from _values(value, path)
    elif isinstance(value, dict) and value:
        for key, entry in value.items():
            yield from _inner_values(entry, kind_of(get_args(kind.type)[-1]), (*path, key))
    elif isinstance(value, list) and value and isinstance(value[0], BaseModel):
        for index, entry in enumerate(value):
            yield from _values(entry, (*path, index))
    else:
        yield path, kind, value
