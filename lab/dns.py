"""A name server for the lab: master files in, answers out, every question remembered.

Authoritative for what the files in zones/ say (RFC 1035 5, PTR zones included); any other name does not exist. It can
also be as bad as name servers get. Not done: TCP, wildcards, delegation, EDNS; the lab's answers are small.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterable
from pathlib import Path

from dnslib import QTYPE, RCODE, RR, DNSError, DNSRecord

from lab.space import Space

ZONES = Path(__file__).parent / "zones"


class Zones:
    """The records of all zones, and who misbehaves, whatever is there.

    ``failing`` names answer SERVFAIL. A zone of ``parrots`` gives one address to every question for one, a ``silent``
    one gives no answer; both go for all names below them.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        self.failing: set[str] = set()
        self.parrots: dict[str, str] = {}
        self.silent: set[str] = set()
        self._records: dict[str, list[RR]] = {}
        for text in texts:
            self.add(text)

    @classmethod
    def read(cls, directory: Path = ZONES) -> Zones:
        """Read every ``*.zone`` file of a directory."""
        return cls(path.read_text("utf-8") for path in sorted(directory.glob("*.zone")))

    def add(self, text: str) -> None:
        """Add the records of a master file; names end with a dot unless $ORIGIN is given."""
        for record in RR.fromZone(text):
            self._records.setdefault(_key(str(record.rname)), []).append(record)

    def answer(self, name: str, kind: str) -> tuple[str, list[RR]]:
        """Return the response code's name and the records for a question; an alias brings its target along."""
        name = _key(name)
        if name in self.failing:
            return "SERVFAIL", []
        if zone := _zone_of(name, self.parrots):
            return "NOERROR", RR.fromZone(f"{name}. 5 IN A {self.parrots[zone]}") if kind == "A" else []
        if name not in self._records:
            # RFC 8020: a name exists if one below it does.
            exists = any(other.endswith(f".{name}") for other in self._records)
            return ("NOERROR" if exists else "NXDOMAIN"), []
        found = [record for record in self._records[name] if QTYPE[record.rtype] in (kind, "CNAME")]
        for alias in [record for record in found if QTYPE[record.rtype] == "CNAME" and kind != "CNAME"]:
            found += self.answer(str(alias.rdata), kind)[1]
        return "NOERROR", found

    def reply(self, query: bytes) -> tuple[str, str, bytes]:
        """Return name and type that a query asks for, and the packet to send, empty from a silent zone; DNSError if it
        is no query.
        """
        request = DNSRecord.parse(query)
        name, kind = str(request.q.qname), str(QTYPE[request.q.qtype])
        if _zone_of(_key(name), self.silent):
            return _key(name), kind, b""
        code, records = self.answer(name, kind)
        reply = request.reply()
        reply.header.rcode = getattr(RCODE, code)
        reply.add_answer(*records)
        return _key(name), kind, bytes(reply.pack())


class NameServer:
    """Serves zones on every address of the lab, so that it is the name server that each zone names, too; from a thread
    of ours. ``asked`` is every question in order.
    """

    def __init__(self, space: Space, zones: Zones) -> None:
        self.zones = zones
        self.asked: list[tuple[str, str]] = []
        with space.inside():
            self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self._socket.bind(("0.0.0.0", 53))
        self._thread = threading.Thread(target=self._serve, name="lab-dns", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop answering."""
        self._socket.sendto(b"", self._socket.getsockname())
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        while True:
            query, client = self._socket.recvfrom(4096)
            if not query:  # close() says so
                return
            try:
                name, kind, reply = self.zones.reply(query)
            except DNSError:
                continue
            self.asked.append((name, kind))
            if reply:
                self._socket.sendto(reply, client)


def _zone_of(name: str, zones: Iterable[str]) -> str:
    """Return the zone among ``zones`` that the name lies in; "" if it is in none."""
    return next((zone for zone in zones if f".{name}".endswith(f".{zone}")), "")


def _key(name: str) -> str:
    return name.lower().rstrip(".")
