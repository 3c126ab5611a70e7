"""Which country an address is in, from a file in MaxMind's format (GeoLite2-Country.mmdb and others of its kind).

The file is read as it is at the opening; a newer one takes another opening. Nothing is downloaded here. The reader is
an extra of the package ("geo"), imported only where there is such a file.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from maxminddb import Reader

MOST_IN_MEMORY = 32 * 1024**2
"""Bytes of a file that is held in memory, in each worker. A larger one (of cities) is mapped: then it must be replaced
by renaming, as geoipupdate does, since who writes into it ends the daemon."""

REMEMBERED = 4096
"""Addresses whose country is kept: where the file is in memory the reader is one in Python, which takes 50 us."""

LOOKED_AT = 1000
"""Records that are searched for a country before the file is refused."""

_DAMAGE = (ValueError, LookupError, TypeError, RuntimeError, struct.error)
"""What the reader raises for a malformed address (ValueError) and for a damaged file."""


def open_countries(path: str) -> Callable[[str], str]:
    """Return what tells the country of an address: its ISO 3166 code in upper case, "" where that is not known, or
    where the text is no address. Raises OSError that says what to do.
    """
    try:
        import maxminddb
    except ImportError as error:
        raise OSError(f'{path}: its reader is not installed: pip install "vaglio[geo]" ({error})') from None
    try:
        mode = maxminddb.MODE_MEMORY if Path(path).stat().st_size <= MOST_IN_MEMORY else maxminddb.MODE_AUTO
        reader = maxminddb.open_database(path, mode)
        found = any(_code(record) for _, record in islice(reader, LOOKED_AT))
    except OSError as error:
        raise OSError(f"{path}: {error.strerror or error}: see that the daemon's user may read it") from None
    except _DAMAGE as error:
        raise OSError(f"{path}: this is no whole file in MaxMind's format: get it anew ({error})") from None
    if not found:
        kind = reader.metadata().database_type
        raise OSError(f'{path}: there are no countries in it, it is of the kind "{kind}": get one of countries')
    return _finder(reader)


def _finder(reader: Reader) -> Callable[[str], str]:
    @lru_cache(REMEMBERED)
    def country(address: str) -> str:
        try:
            return _code(reader.get(address))
        except _DAMAGE:
            return ""

    return country


def _code(record: object) -> str:
    """Return the country that a record names: MaxMind and DB-IP have {"country": {"iso_code": "IT"}}, others
    {"country_code": "IT"} or {"country": "IT"}.
    """
    if not isinstance(record, Mapping):
        return ""
    country = record.get("country")
    choices = country.get("iso_code") if isinstance(country, Mapping) else country, record.get("country_code")
    for code in choices:
        if isinstance(code, str) and len(code) == 2 and code.isascii() and code.isalpha():
            return code.upper()
    return ""
