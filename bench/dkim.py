"""Our DKIM milters beside Debian's opendkim, dkimpy-milter and pyspf-milter, in one run, on one machine: scripts/bench
dkim, which is also the second half of scripts/bench milters.

Only the engine that is the default is measured. What is measured, and under which conditions, is told in
docs/performance.md; how, in the modules beside this one.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from bench import messages, runs, signed
from bench.dkimservers import (
    DKIMPY,
    OPENDKIM,
    DkimpySign,
    DkimSign,
    DkimVerify,
    OpendkimSign,
    OpendkimVerify,
)
from bench.generator import MILTER, Generator, Measured
from bench.milterruns import FULL, LARGE, MEDIUM, QUICK, SMALL, MilterRuns, Part, Plan, rows_of, worker_rows
from bench.milterservers import PYSPF, Inbound, MilterServer, Ours, PyspfMilter
from bench.report import Row, Target
from bench.runs import Pair, Say, Subject, open_directory
from bench.signed import ED25519, RSA

Figures = Sequence[Measured]

_SAID = {"verify": ("dkim=pass",), "chain": ("spf=pass", "dkim=pass"), "opendkim": ("dkim=pass",),
         "pyspf": ("spf=pass",)}  # fmt: skip
_TWO = ("spf", "dkim_verify")
_A_RSA, _A_ED25519 = "a=rsa-sha256", "a=ed25519-sha256"
_SIGNED = {
    "rsa": (_A_RSA,), "ed25519": (_A_ED25519,), "both": (_A_RSA, _A_ED25519), "opendkim": (_A_RSA,),
    "opendkim ed25519": (_A_ED25519,), "dkimpy": (_A_RSA,),
}  # fmt: skip
_VERIFY = {SMALL: 1.8, MEDIUM: 1.8, LARGE: 2.0}
_PEERS = {"opendkim": OPENDKIM, "dkimpy-milter": DKIMPY, "pyspf-milter": PYSPF}


def missing_peers() -> list[str]:
    """Return the programs that are not installed."""
    return [name for name, program in _PEERS.items() if not Path(program).exists()]


def one_after_other(first: Figures, second: Figures) -> list[Measured]:
    """Return the figures of messages that two milters see, one after the other: the sums of their times, run by run.
    Empty where one of them was not measured.
    """
    return [
        Measured(1 / (1 / a.rate + 1 / b.rate), a.p50 + b.p50, a.p99 + b.p99, a.cpu + b.cpu, max(a.other, b.other))
        for a, b in zip(first, second, strict=bool(first and second))
    ]


class Bench(MilterRuns):
    """The measurements, one method each. A peer that is not installed leaves its column empty."""

    def __init__(self, plan: Plan, generator: Generator, directory: Path, say: Say) -> None:
        self._keys = signed.make_keys(directory / "keys")
        super().__init__(plan, generator, directory, say, self._keys.records)
        self._plain = messages.write(directory / "messages")
        self._signed = signed.write(directory / "signed", self._keys.signers[RSA])
        self._missing = missing_peers()
        for name in self._missing:
            self.remarks.append(f"{name} is not installed here: nothing is compared with it.")
            say(self.remarks[-1])

    def _parts(self) -> Sequence[Part]:
        return self.verify, self.sign, self.workers, self.postfix, self.hostile, self.memory

    # --- servers ---

    def _verifier(self, workers: int = 1, cores: Sequence[int] = ()) -> DkimVerify:
        return DkimVerify(self._fresh(), cores or self._server, self._names.address, workers)

    def _signer(self, *selectors: str, workers: int = 1, cores: Sequence[int] = ()) -> DkimSign:
        keys = {selector: self._keys.files[selector] for selector in selectors}
        return DkimSign(self._fresh(), cores or self._server, self._names.address, keys, workers)

    def _there(self, peers: Mapping[str, Callable[[], MilterServer]]) -> dict[str, MilterServer]:
        """Return the servers of the peers that are installed; their names begin with their programs'."""
        gone = tuple(name.removesuffix("-milter") for name in self._missing)
        return {name: make() for name, make in peers.items() if not name.startswith(gone)}

    def _compared(self, servers: Mapping[str, MilterServer], message: Path) -> dict[str, Figures]:
        """Return the runs of each, taken in turns; of those that are not here, none."""
        steps = [self._sending(server, message) for server in servers.values()]
        return dict(zip(servers, self._rounds(*steps), strict=True))

    # --- rows ---

    def verify(self) -> Iterator[Row]:
        """One RSA signature of 2048 bits, which passes; and SPF besides, in one process and in two."""
        self._say("verifying, alone and with SPF")
        address, core = self._names.address, self._server
        servers: dict[str, MilterServer] = {
            "verify": self._verifier(), "chain": Inbound(self._fresh(), core, address, _TWO),
            **self._there({
                "opendkim": lambda: OpendkimVerify(self._fresh(), core, address),
                "pyspf": lambda: PyspfMilter(self._fresh(), core, address),
            }),
        }  # fmt: skip
        with ExitStack() as stack:
            for server in servers.values():
                stack.enter_context(server)
            for size in messages.SIZES:
                self._say(f" {size}")
                for name, server in servers.items():
                    self._must_say(server, self._signed[size], *_SAID[name])
                found = self._compared(servers, self._signed[size])
                opendkim = found.get("opendkim", ())
                pair = Pair(opendkim, found["verify"])
                yield from rows_of(f"verify, {size} (opendkim)", pair, _times(_VERIFY[size], opendkim))
                yield pair.row(f"verify, {size}, processors that the name server took", "", "helper")
                after = one_after_other(found.get("pyspf", ()), opendkim)
                what = f"SPF and DKIM in one chain, {size} (pyspf-milter, then opendkim)"
                yield from rows_of(what, Pair(after, found["chain"]), _times(3, after))

    def sign(self) -> Iterator[Row]:
        """By an RSA key of 2048 bits, by an Ed25519 key, and by both in one pass."""
        self._say("signing")
        files, core = self._keys.files, self._server
        servers: dict[str, MilterServer] = {
            "rsa": self._signer(RSA), "ed25519": self._signer(ED25519), "both": self._signer(RSA, ED25519),
            **self._there({
                "opendkim": lambda: OpendkimSign(self._fresh(), core, RSA, files[RSA]),
                "opendkim ed25519": lambda: OpendkimSign(self._fresh(), core, ED25519, files[ED25519]),
                "dkimpy": lambda: DkimpySign(self._fresh(), core, RSA, files[RSA]),
            }),
        }  # fmt: skip
        with ExitStack() as stack:
            for server in servers.values():
                stack.enter_context(server)
            for size in messages.SIZES:
                self._say(f" {size}")
                used = {name: server for name, server in servers.items() if name != "dkimpy" or size == SMALL}
                for name, server in used.items():
                    self._must_say(server, self._plain[size], *_SIGNED[name])
                yield from self._signing_rows(size, self._compared(used, self._plain[size]))

    def _signing_rows(self, size: str, found: Mapping[str, Figures]) -> Iterator[Row]:
        opendkim, ed25519 = found.get("opendkim", ()), found.get("opendkim ed25519", ())
        what = f"sign, RSA, {size}"
        yield from rows_of(f"{what} (opendkim)", Pair(opendkim, found["rsa"]), _times(2, opendkim))
        if dkimpy := found.get("dkimpy", ()):
            yield from rows_of(f"{what} (dkimpy-milter)", Pair(dkimpy, found["rsa"]), _times(8, dkimpy))
        what = f"sign, Ed25519, {size} (opendkim)"
        yield from rows_of(what, Pair(ed25519, found["ed25519"]), _times(1.8, ed25519))
        what = f"sign, both at once, {size} (opendkim, RSA alone)"
        yield from rows_of(what, Pair(opendkim, found["both"]), _times(1.5, opendkim))

    def workers(self) -> Iterator[Row]:
        """One worker and two, and opendkim with its threads: servers and generator all on both cores."""
        both, address, key = self._both, self._names.address, self._keys.files[RSA]
        self._say("verifying, all on both cores")
        peer = self._there({"opendkim": lambda: OpendkimVerify(self._fresh(), both, address)})
        ours: list[Ours] = [self._verifier(count, both) for count in (1, 2)]
        theirs, (one, two) = self._on_both([*peer.values()], ours, self._signed[SMALL], "dkim=pass")
        yield from worker_rows("verify", theirs, one, two)
        self._say("signing, all on both cores")
        peer = self._there({"opendkim": lambda: OpendkimSign(self._fresh(), both, RSA, key)})
        ours = [self._signer(RSA, workers=count, cores=both) for count in (1, 2)]
        theirs, (one, two) = self._on_both([*peer.values()], ours, self._plain[SMALL], _A_RSA)
        yield from worker_rows("sign, RSA", theirs, one, two)

    def postfix(self) -> Iterator[Row]:
        """Real Postfixes, which throw the mail away: SPF and DKIM by ours, DKIM alone by opendkim."""
        self._say("through Postfix")
        address, both = self._names.address, self._both
        with open_directory() as home:
            servers: dict[str, MilterServer] = {
                "chain": Inbound(home / "chain", both, address, _TWO),
                **self._there({"opendkim": lambda: OpendkimVerify(home / "opendkim", both, address)}),
            }
            found = self._through_postfix(servers, self._signed[SMALL], _SAID)
        pair = Pair(found.get("opendkim", ()), found["chain"])
        yield Pair((), found["bare"]).row("through Postfix, no milter", "msg/s", "rate")
        what = "through Postfix, SPF and DKIM in one chain (opendkim, DKIM alone)"
        yield pair.row(what, "msg/s", "rate", _times(1.4, pair.peer))
        yield pair.row(f"{what}, processor time", "us/msg", "cpu")

    def hostile(self) -> Iterator[Row]:
        """What an attacker may send costs us no more than a valid message of 1 MB of text, which is the other here."""
        self._say("hostile messages")
        cases = signed.hostile(self._keys.signers[RSA])
        plain = self._signed[LARGE].with_name("long-text.eml")
        plain.write_bytes(signed.sign(messages.long_text(), [self._keys.signers[RSA]]))
        files = [plain.with_name(f"hostile-{number}.eml") for number in range(len(cases))]
        for file, case in zip(files, cases, strict=True):
            file.write_bytes(case.message)
        with self._verifier() as server:
            for file, case in zip(files, cases, strict=True):
                self._must_say(server, file, case.result)
            usual, *found = self._rounds(*(self._sending(server, file) for file in (plain, *files)))
        for case, runs_ in zip(cases, found, strict=True):
            what = f"hostile: {case.what} (valid 1 MB of text), processor time"
            yield Pair(usual, runs_).row(what, "us/msg", "cpu", Target("ratio", "<=", 1.0))

    def memory(self) -> Iterator[Row]:
        """What a worker holds after many messages, and while many are under way."""
        self._say("memory, verifying")
        held = self._held(self._verifier(), self._signed["mixed"], self._signed[LARGE])
        yield from self._memory_rows("memory, verify", held)
        self._say("memory, signing")
        held = self._held(self._signer(RSA, ED25519), self._plain["mixed"], self._plain[LARGE])
        yield from self._memory_rows("memory, sign, both at once", held)


def _times(bound: float, peer: Figures) -> Target | None:
    """Return the target beside a peer, None where it was not measured."""
    return Target("ratio", ">=", bound) if peer else None


def _make(quick: bool, generator: Generator, directory: Path, say: Say) -> Bench:
    return Bench(QUICK if quick else FULL, generator, directory, say)


SUBJECT = Subject(
    "dkim", "opendkim, dkimpy-milter and pyspf-milter", "the other", (*_PEERS, "postfix"), _make, generator=MILTER,
    title="Vaglio's DKIM milters",
)  # fmt: skip

if __name__ == "__main__":
    sys.exit(runs.main(SUBJECT))
