"""How records are shown to an admin: for a web form, and for a zone file."""

from __future__ import annotations

from typing import NamedTuple

from vaglio.checks.dkim.signing.record import zone_lines
from vaglio.names import registered_domain


class ToPublish(NamedTuple):
    """A TXT record, and the domain whose key it has."""

    domain: str
    name: str
    text: str

    def row(self) -> dict[str, str]:
        """Return it for JSON."""
        return {"name": self.name, "value": self.text, "zone_line": zone_lines(self.name, self.text)}


def show(records: list[ToPublish]) -> None:
    """Print records in both forms."""
    print("In a web form:\n")
    for one in records:
        zone = registered_domain(one.domain) or one.domain
        short = one.name.removesuffix(f".{zone}")
        print(f"  name   {short}   (in the zone {zone}; whole: {one.name})\n  type   TXT\n  value  {one.text}\n")
    print("In a zone file:\n")
    print("\n".join(zone_lines(one.name, one.text) for one in records))
