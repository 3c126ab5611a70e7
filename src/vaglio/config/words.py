"""Values and kinds of values in words that an admin reads.

``found`` and ``as_toml`` write a value as TOML would show it, ``written`` as this key's kind would (a duration
as "5m"), ``wanted`` says what a key may hold. All is taken from the annotations of the settings classes. It
validates nothing.
"""

from __future__ import annotations

import difflib
import json
import math
import re
import types
from collections.abc import Callable, Iterable
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel, BeforeValidator
from pydantic.fields import FieldInfo

from vaglio.config.places import Path
from vaglio.config.types import format_duration, format_size, parse_duration, parse_size

_LONGEST = 60
_bare = re.compile(r"[A-Za-z0-9_-]+")
_DEEPEST = 8  # dotted keys can nest tables deeper than Python can recurse

_FORMATS: dict[object, Callable[[int], str]] = {parse_duration: format_duration, parse_size: format_size}


class Kind(NamedTuple):
    """What a key may hold: a type, the limits and parsers noted beside it, and its own words, if it has any."""

    type: Any
    notes: tuple[Any, ...] = ()
    words: str = ""


def kind_of(annotation: Any) -> Kind:
    """Take ``Annotated[...]`` apart; a pydantic field is one too."""
    if isinstance(annotation, FieldInfo):
        inner = kind_of(annotation.annotation)
        return Kind(inner.type, inner.notes + tuple(annotation.metadata), annotation.description or inner.words)
    if get_origin(annotation) is not Annotated:
        return Kind(annotation)
    kind = kind_of(get_args(annotation)[0])
    for note in annotation.__metadata__:
        notes, words = (tuple(note.metadata), note.description) if isinstance(note, FieldInfo) else ((note,), None)
        kind = Kind(kind.type, kind.notes + notes, words or kind.words)
    return kind


def kind_at(model: type[BaseModel], path: Path) -> Kind:
    """Return the kind of the key at ``path`` (which the model knows) below ``model``."""
    kind = Kind(model)
    for part in path:
        inner = kind.type.model_fields[part] if is_section(kind.type) else get_args(kind.type)[-1]  # X of list[X]
        kind = kind_of(inner)
    return kind


def is_secret(model: type[BaseModel], path: Path) -> bool:
    """Return whether the value at ``path`` below ``model`` is one that nobody may read (``repr=False``)."""
    section, last = kind_at(model, path[:-1]).type, path[-1]
    return is_section(section) and last in section.model_fields and not section.model_fields[last].repr


def kind_of_keys(kind: Kind) -> Kind:
    """Return what the names in a table with free names, ``dict[K, V]``, may be."""
    return kind_of(get_args(kind.type)[0])


def is_section(kind: Any) -> bool:
    """Return whether a type is a settings class."""
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def is_table(kind: Kind) -> bool:
    """Return whether a key holds a table with names of ours, or several."""
    return is_section(kind.type) or any(map(is_section, get_args(kind.type)))


def wanted(kind: Kind) -> str:
    """Say what a key of this kind may hold."""
    parser = next((note for note in kind.notes if isinstance(note, BeforeValidator)), None)
    words = kind.words or (_refusal(parser.func) if parser else _plain_words(kind))
    return words + _limits(kind)


def _refusal(parser: Any) -> str:
    """Return what a parser says to a value that it can't take: its own words for what it wants."""
    try:
        parser(None)
    except ValueError as refusal:
        return str(refusal)
    return "another value"


def _plain_words(kind: Kind) -> str:
    origin, arguments = get_origin(kind.type), get_args(kind.type)
    if origin is Literal:
        choices = ", ".join(as_toml(choice) for choice in arguments)
        return choices if len(arguments) == 1 else f"one of {choices}"
    if origin in (Union, types.UnionType):
        return " or ".join(wanted(kind_of(choice)) for choice in arguments if choice is not types.NoneType)
    if origin is list:
        return "tables in [[double brackets]]" if is_section(arguments[0]) else _list_words(kind, arguments[0])
    if origin is dict:
        return f"a table of {'tables' if is_section(arguments[1]) else wanted(kind_of(arguments[1]))}"
    if is_section(kind.type):
        return "a table in [brackets]"
    return {bool: "true or false", int: "a whole number", float: "a number", str: "text in quotes"}[kind.type]


def _list_words(kind: Kind, entry: Any) -> str:
    least = ", not empty" if any(hasattr(note, "min_length") for note in kind.notes) else ""
    return f"a list in [brackets]{least}, each entry {wanted(kind_of(entry))}"


def _limits(kind: Kind) -> str:
    bounds = {name: getattr(note, name) for note in kind.notes for name in ("ge", "le") if hasattr(note, name)}
    longest = next((note.max_length for note in kind.notes if hasattr(note, "max_length")), None)
    if longest is not None and kind.type is str:
        return f", at most {longest} characters"
    low, high = (written(kind, bounds[name]) if name in bounds else "" for name in ("ge", "le"))
    if low and high:
        return f" from {low} to {high}"
    return f", at least {low}" if low else f", at most {high}" if high else ""


def near(name: str, known: Iterable[str], alike: float = 0.6) -> str:
    """Return the known name that is most like ``name``, "" where none is; ``alike`` is how much at least, up to 1."""
    return next(iter(difflib.get_close_matches(name[:100], list(known), n=1, cutoff=alike)), "")


def meant(*names: str) -> str:
    """Ask behind a message whether one of ``names`` is meant; "" for none."""
    asked = " or ".join(f'"{name}"' for name in names if name)
    return f"; did you mean {asked}?" if asked else ""


def found(value: object) -> str:
    """Return a value as TOML shows it, in at most 60 characters on one line."""
    return _shortened(as_toml(value))


def found_line(text: str) -> str:
    """Return a line of a file that is no TOML, shortened likewise and without control characters."""
    return _shortened(_visible(text))


def dotted(path: Path) -> str:
    """Return ``path`` as an admin reads it: ``greylist.rule[1].delay``, ``identity.languages."caio.it"``."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{written_key(part)}" for part in path)
    return text.removeprefix(".")


def written_key(key: str) -> str:
    """Return ``key`` as TOML writes it: bare where that is allowed, else in quotes; cut when absurdly long."""
    return _shortened(key if _bare.fullmatch(key) else _quoted(key))


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."


def written(kind: Kind, value: Any) -> str:
    """Return a value as an admin would write it for a key of this kind: 300 seconds as "5m", in quotes."""
    for note in kind.notes:
        if isinstance(note, BeforeValidator) and note.func in _FORMATS:
            return as_toml(_FORMATS[note.func](value))
    if get_origin(kind.type) in (Union, types.UnionType) and isinstance(value, int):
        kinds = (kind_of(choice) for choice in get_args(kind.type))
        return next((written(inner, value) for inner in kinds if inner.type is int), as_toml(value))
    return as_toml(value)


def as_toml(value: object, depth: int = 0) -> str:
    """Return a value as TOML writes it on one line, control and invisible characters escaped, tables left out."""
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, int):
        return str(value) if value.bit_length() < 1000 else hex(value)  # Python refuses to write long ones in decimal
    if isinstance(value, list):
        return "[...]" if depth > _DEEPEST else f"[{', '.join(as_toml(entry, depth + 1) for entry in value)}]"
    if isinstance(value, dict):
        return "{...}" if value else "{}"  # there may be an access key in it
    return str(value)


def _quoted(text: str) -> str:
    return _visible(json.dumps(text, ensure_ascii=False))


def _visible(text: str) -> str:
    return "".join(char if char.isprintable() else _escape(ord(char)) for char in text)


def _escape(code: int) -> str:
    return f"\\u{code:04X}" if code < 0x10000 else f"\\U{code:08X}"
