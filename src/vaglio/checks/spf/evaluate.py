"""RFC 7208 over the answers at hand: pyspf evaluates, and asks nobody. The only file that imports it.

pyspf wants its answers at once. So it gets those that are known; where one is missing it is left by an exception, the
answer is awaited, and it begins again: a run takes some 50 us, there are at most ten look-ups, and no threads. All
that a run has learned (answers, validated terms) is kept for the next.

What of pyspf is replaced here, since strangers write what it reads: the look-ups and their limits (its own are global),
macros (its scanner takes quadratic time, and does not join parts as RFC 7208 7.3 says), the check of a domain-spec
(quadratic), networks (slow), errors of PTR look-ups (RFC 7208 5.5), modifiers (it counts unknown ones), and exp=, which
is looked up after a fail only.
Nothing is decided here.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import quote

from vaglio.checks.spf.memory import Key, Memory
from vaglio.checks.spf.outcome import Evaluation, Question, Result, Step, StepKind
from vaglio.eager import Rest, rest, start, together
from vaglio.ports import Answer, Outcome, Resolver

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # escapes in its docstrings, where it was not compiled before
    import spf

MAX_RECORD = 8192
"""Bytes of a record; RFC 7208 3.4 wants at most 450."""
MAX_TERM = 512
MAX_TERMS = 1000
"""Terms of all records of one evaluation."""
MAX_NAMES = 10
"""MX and PTR names whose addresses are looked up (RFC 7208 4.6.4)."""
MAX_THEIRS = 1000
"""Characters of an explanation (exp=); a longer one is not read."""
_NAME = 253


class Limits(NamedTuple):
    """What one evaluation may take (RFC 7208 4.6.4); those of a message run side by side, each in its own time."""

    lookups: int = 10
    void_lookups: int = 2
    seconds: float = 20.0


class _Missing(Exception):
    """These answers must be had before the evaluation can go on."""

    def __init__(self, keys: Sequence[Key]) -> None:
        self.keys = keys


class _Known:
    """What is known for one evaluation, from run to run: answers, and terms that were validated.

    ``is_personal`` is true once macros were expanded: another sender may be judged otherwise.
    """

    __slots__ = ("answers", "is_personal", "resolver", "terms")

    def __init__(self, resolver: Resolver) -> None:
        self.resolver = resolver
        self.answers: dict[Key, Answer] = {}
        self.terms: dict[tuple[str, str], tuple[Any, ...]] = {}
        self.is_personal = False

    def find(self, keys: Iterable[Key]) -> None:
        """See to it that these answers are known. Raises _Missing."""
        missing = []
        for key in keys:
            if key not in self.answers:
                answer = self.resolver.at_hand(*key)
                if answer is None:
                    missing.append(key)
                else:
                    self.answers[key] = answer
        if missing:
            raise _Missing(missing)

    async def ask(self, keys: Iterable[Key], seconds: float) -> None:
        """Learn these answers; those that do not come within ``seconds`` are TEMPERROR."""
        waiting: dict[asyncio.Task[Answer], Key] = {}
        for key in keys:
            if seconds <= 0:
                self.answers[key] = _LATE
                continue
            answer = start(self.resolver.lookup(*key))
            if isinstance(answer, Rest):
                waiting[asyncio.get_running_loop().create_task(rest(answer))] = key
            else:
                self.answers[key] = answer
        if not waiting:
            return
        try:
            await asyncio.wait(waiting, timeout=seconds)
        finally:
            for task, key in waiting.items():
                if task.done():
                    self.answers[key] = task.result()
                else:
                    task.cancel()
                    self.answers[key] = _LATE


_LATE = Answer(Outcome.TEMPERROR, why="timeout")


async def evaluate(
    questions: Sequence[Question], resolver: Resolver, limits: Limits, receiver: str, now: float, trace: bool = False,
    memory: Memory | None = None,
) -> list[Evaluation]:  # fmt: skip
    """Return an evaluation for each question; none waits for another's answers. Never raises for anything that a client
    or a domain says. ``receiver`` is our own name and ``now`` the Unix time, for macros; ``trace`` fills ``steps``;
    ``memory`` is for evaluations with the same limits only. With all answers at hand, nothing is awaited.
    """
    return await together(*(_one(question, resolver, limits, receiver, now, trace, memory) for question in questions))


async def _one(
    question: Question, resolver: Resolver, limits: Limits, receiver: str, now: float, trace: bool,
    memory: Memory | None,
) -> Evaluation:  # fmt: skip
    held = memory.find(question, resolver) if memory else None
    if held is not None:
        return held
    known, until = _Known(resolver), 0.0
    while True:
        try:
            return _evaluate(question, known, limits, receiver, now, trace, memory)
        except _Missing as missing:
            keys = missing.keys
        loop_now = asyncio.get_running_loop().time()
        until = until or loop_now + limits.seconds
        await known.ask(keys, until - loop_now)


def _evaluate(
    question: Question, known: _Known, limits: Limits, receiver: str, now: float, trace: bool, memory: Memory | None
) -> Evaluation:
    if not question.domain:
        return Evaluation(question, Result.NONE, question.why)
    query = _Query(question, known, limits, receiver, now, trace)
    result = Result(query.check()[0])
    problem = query.problem if result in (Result.PERMERROR, Result.TEMPERROR) else ""
    if result is Result.NONE:
        problem = "the domain has no SPF record"
    domain, term = query.last
    is_inner = result is Result.PASS and term != query.mechanism
    found = Evaluation(
        question,
        result,
        problem,
        query.record,
        query.record_domain,
        query.mechanism or "",
        term if is_inner else "",
        domain if is_inner else "",
        query.theirs() if result is Result.FAIL else "",
        query.lookups,
        len(query.voids),
        tuple(query.steps),
    )
    if memory and not known.is_personal and result is not Result.TEMPERROR:
        memory.keep(found, {key: known.answers[key] for key in query.used})
    return found


# --- pyspf, with what it lacks ---

_OTHER = {"A": "AAAA", "AAAA": "A"}
_LETTERS = "slodiphcrtv"
_MACRO = re.compile(r"%(?:[%_-]|\{([a-z])([0-9]*)(r?)([-.+,/_=]*)\})?", re.IGNORECASE | re.ASCII)
_PLAIN = {"%%": "%", "%_": " ", "%-": "%20"}
_MODIFIER = re.compile(r"([a-z][a-z0-9_.-]*)=", re.IGNORECASE | re.ASCII)
_ENDS_IN_MACRO = re.compile(r".*%(?:[%_-]|\{[^{}]*\})", re.DOTALL)
_TOP_LABEL = re.compile(r"(?=.*[a-z-])[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", re.IGNORECASE | re.ASCII)


class _Term(tuple[Any, ...]):
    """A validated term; pyspf unpacks it just when it comes to it, and so tells the query where it stands."""

    query: _Query

    def __iter__(self) -> Iterator[Any]:
        self.query.comes_to(self[0])
        return super().__iter__()


class _Query(spf.query):  # type: ignore[misc]  # it has no types
    """One run of one evaluation."""

    def __init__(
        self, question: Question, known: _Known, limits: Limits, receiver: str, now: float, trace: bool
    ) -> None:
        super().__init__(question.address, question.sender, question.helo, receiver=receiver)
        self.l, self.o = question.local, question.domain  # split at the last "@", not at the first
        self.d = self.o
        self.t = str(int(now))
        self.known, self.limits, self.trace = known, limits, trace
        self.steps: list[Step] = []
        self.voids: list[tuple[str, str, Outcome]] = []
        self.record = self.record_domain = self.prob = ""
        self.last = ("", "")
        """The domain and the term where the evaluation stands."""
        self._terms = 0
        self._depth = 0
        self._counted = True
        """The next record that is fetched has been counted as a look-up, or is the first."""
        self._reading = False
        """A record is being read; none of its terms is evaluated yet."""
        self._exp: tuple[str, str] | None = None
        self.used: dict[Key, None] = {}
        """What was looked up."""

    @property
    def problem(self) -> str:
        """What went wrong, with the term that it was found in."""
        return f"{self.prob}: {' '.join(self.mech)}" if self.mech else str(self.prob)

    # --- records ---

    def check1(self, spf: str | None, domain: str, recursion: int) -> Any:
        """Evaluate a record of ``domain`` within its bounds."""
        record = spf or ""
        self._terms += record.count(" ")
        if len(record) > MAX_RECORD or self._terms > MAX_TERMS:
            raise _perm_error("The SPF record is too long", domain)
        if not record.isprintable():  # else a line end behind an address would pass for its end
            raise _perm_error("A control character in the SPF record", domain)
        if len(record) > MAX_TERM and any(len(term) > MAX_TERM for term in record.split(" ")):
            raise _perm_error("A term of the SPF record is too long", domain)
        if not recursion:
            self.record, self.record_domain, self._exp = record, domain, None
        depth, self._depth, self._reading = self._depth, recursion, True
        if self.trace:
            self.steps.append(Step(StepKind.RECORD, recursion, domain, record))
        try:
            return super().check1(_without_others(record) if "=" in record[7:] else spf, domain, recursion)
        finally:
            self._depth = depth

    def comes_to(self, term: str) -> None:
        """Take note of the term that is about to be evaluated."""
        self._reading = False
        self.last = (self.d, term)
        if self.trace:
            self.steps.append(Step(StepKind.TERM, self._depth, self.d, term))

    def validate_mechanism(self, mech: str) -> _Term:
        """Return the parts of a term, those of the run before where there was one."""
        key = (self.d, mech)
        parts = self.known.terms.get(key)
        if parts is None:
            parts = self.known.terms[key] = super().validate_mechanism(mech)
        term = _Term(parts)
        term.query = self
        return term

    def dns_spf(self, domain: str) -> Any:
        """Return the record of a domain; None if it has none. Where a redirect leads to it, that is counted now."""
        if not self._counted:
            self._count()
        self._counted = False
        return super().dns_spf(domain)

    def check_lookups(self) -> None:
        """Count a term that looks something up; but a redirect, which pyspf counts where it reads it, when followed."""
        if not self._reading:
            self._count()
            self._counted = True

    def _count(self) -> None:
        self.lookups += 1
        if self.lookups > self.limits.lookups:
            raise _perm_error(f"More than {self.limits.lookups} DNS look-ups (RFC 7208 4.6.4)")

    def get_explanation(self, spec: str) -> None:
        """Take note of exp=, of the first record only (RFC 7208 6.2); it is looked up once there is a fail."""
        if not self._depth:
            self._exp = spec, self.d

    def theirs(self) -> str:
        """Return what the domain's owner says to those who fail; "" where that can't be had (RFC 7208 6.2)."""
        if not self._exp:
            return ""
        spec, self.d = self._exp
        with suppress(spf.PermError, spf.TempError):
            texts = self.dns_txt(spec, ignore_void=True)
            if len(texts) == 1 and len(texts[0]) <= MAX_THEIRS:
                return str(self.expand(spf.to_ascii(texts[0]), stripdot=False))
        return ""

    # --- look-ups ---

    def dns(self, name: str, qtype: str, cnames: Any = None, ignore_void: bool = False) -> list[Any]:  # noqa: ARG002
        """Return the values as pyspf wants them. Raises _Missing where the answer is not at hand."""
        name = str(name).lower().removesuffix(".")
        if not name or len(name) > _NAME or not all(0 < len(label) < 64 for label in name.split(".")):
            return []
        answer = self._answer(name, qtype)
        if self.trace:
            found = ", ".join(answer.values) or answer.why or answer.outcome
            self.steps.append(Step(StepKind.LOOKUP, self._depth, self.d, f"{name} {qtype}", found))
        if answer.outcome is Outcome.TEMPERROR:
            raise spf.TempError(f"{qtype} of {name} can't be looked up ({answer.why or 'temporary failure'})")
        if answer.outcome is Outcome.OK:
            return self._values(answer, qtype)
        if not ignore_void:
            self._note_void(name, qtype, answer.outcome)
        return []

    def _answer(self, name: str, qtype: str) -> Answer:
        key = (name, qtype)
        self.used[key] = None
        self.known.find((key,))
        return self.known.answers[key]

    def _values(self, answer: Answer, qtype: str) -> list[Any]:
        if qtype == "TXT":
            return [(_bytes(value),) for value in answer.values]
        if qtype == "MX":
            pairs = [value.partition(" ") for value in answer.values]
            hosts = [(int(preference), host) for preference, _, host in pairs if host.strip(".")]
            if len(hosts) <= MAX_NAMES:
                self.known.find((host, self.A) for _, host in hosts if _fits(host))
            return hosts
        if qtype == "PTR":
            self.known.find((host, self.A) for host in answer.values[:MAX_NAMES] if _fits(host))
        return list(answer.values)

    def _note_void(self, name: str, qtype: str, outcome: Outcome) -> None:
        """Count a look-up that found nothing. A host that has addresses, but of the other family only, is not what the
        limit is for (RFC 7208 4.6.4 and 11.1): an IPv6 client would else fail wherever three hosts have IPv4 alone.
        """
        self.voids.append((name, qtype, outcome))
        if len(self.voids) > self.limits.void_lookups:
            if len(self.voids) > self.limits.void_lookups + MAX_NAMES:
                raise self._too_many_voids()
            suspects = [void for void in self.voids if void[2] is Outcome.NODATA and void[1] in _OTHER]
            others = [(host, _OTHER[rrtype]) for host, rrtype, _ in suspects]
            self.used.update(dict.fromkeys(others))
            self.known.find(others)
            real = [void for void in self.voids if void not in suspects or not self._has_other(void)]
            if len(real) > self.limits.void_lookups:
                raise self._too_many_voids()

    def _has_other(self, void: tuple[str, str, Outcome]) -> bool:
        return self.known.answers[void[0], _OTHER[void[1]]].outcome is Outcome.OK

    def _too_many_voids(self) -> Exception:
        return _perm_error(f"More than {self.limits.void_lookups} DNS look-ups that find nothing (RFC 7208 4.6.4)")

    def validated_ptrs(self) -> list[str]:
        """Return the client's names that lead back to it; one that can't be looked up is passed over (RFC 7208 5.5)."""
        try:
            names = self.dns_ptr(self.i)[:MAX_NAMES]
        except spf.TempError:
            return []
        found = []
        for name in names:
            with suppress(spf.TempError):
                if self.cidrmatch(self.dns_a(name, self.A), self.cidrmax):
                    found.append(name)
        return found

    def cidrmatch(self, ipaddrs: Iterable[str], n: int) -> bool:
        """Say whether the client is within ``n`` bits of one of the addresses."""
        client = _number(self.c)
        shift = self.cidrmax - n
        is_ipv6 = ":" in self.c
        return any(_number(one) >> shift == client >> shift for one in ipaddrs if (":" in one) == is_ipv6)

    # --- macros (RFC 7208 7) ---

    def expand_domain(self, arg: str) -> str:
        """Return a domain-spec, expanded. Raises PermError for one that ends neither in a top label nor in a macro."""
        _, dot, top = arg.removesuffix(".").rpartition(".")
        if not (dot and _TOP_LABEL.fullmatch(top)) and not _ENDS_IN_MACRO.fullmatch(arg):
            raise _perm_error("Invalid domain found (use FQDN)", arg)
        return self.expand(arg)

    def expand(self, s: str, stripdot: bool = True) -> str:
        """Return ``s`` with its macros replaced; a domain (``stripdot``) is cut from the left to 253 characters."""
        text = _MACRO.sub(lambda match: self._expanded(match, stripdot), s) if "%" in s else s
        if not stripdot:
            return text
        text = text.removesuffix(".")
        if len(text) > _NAME:
            cut = text.find(".", len(text) - _NAME - 1)
            text = text[cut + 1 :] if cut >= 0 else text
        return text

    def _expanded(self, match: re.Match[str], is_domain: bool) -> str:
        self.known.is_personal = True
        letter = _letter(match)
        if not letter:
            return _PLAIN[match[0]]
        if is_domain and letter in "crt":
            raise _perm_error("Invalid macro", match[0])
        value = str(self._validated_name() if letter == "p" else getattr(self, letter) or "")
        if match[2] or match[3] or match[4]:
            value = _transformed(value, match[2], bool(match[3]), match[4] or ".")
        return quote(value, safe="~", errors="replace") if match[1] != letter else value

    def _validated_name(self) -> str:
        """Return what ``%{p}`` stands for: the name that is nearest to the domain in question."""
        names = self.validated_ptrs()
        below = f".{self.d}"
        return next((name for name in names if name == self.d), "") or next(
            (name for name in names if name.endswith(below)), names[0] if names else "unknown"
        )


def _perm_error(*texts: str) -> Exception:
    error: Exception = spf.PermError(*texts)
    return error


def _letter(match: re.Match[str]) -> str:
    """Return the letter of a macro in lower case; "" for what stands for a character. Raises PermError."""
    letter = (match[1] or "").lower()
    if letter not in _LETTERS or not (letter or match[0] in _PLAIN):
        raise _perm_error("Invalid macro", match[0])
    return letter


def _without_others(record: str) -> str:
    """Return a record as pyspf wants it: the modifiers that RFC 7208 6 defines in lower case, and no others; those are
    ignored wherever and however often they stand. Raises PermError for one whose value is no macro-string (4.6.1).
    """
    version, *terms = record.split(" ")
    kept = [version]
    for term in terms:
        modifier = _MODIFIER.match(term)
        name = modifier[1].lower() if modifier else ""
        if modifier and name not in ("redirect", "exp"):
            for macro in _MACRO.finditer(term, modifier.end()):
                _letter(macro)
        else:
            kept.append(f"{name}={term[modifier.end() :]}" if modifier else term)
    return " ".join(kept)


def _transformed(value: str, digits: str, is_reversed: bool, delimiters: str) -> str:
    """Split at the delimiters, turn round, keep the last so many parts, join with dots (RFC 7208 7.3)."""
    count = int(digits[:6]) if digits else 0
    if digits and not count:
        raise _perm_error("Invalid macro: 0 parts are none")
    parts = value.split(".") if delimiters == "." else re.split(f"[{re.escape(delimiters)}]", value)
    if is_reversed:
        parts.reverse()
    return ".".join(parts[-count:])


def _fits(name: str) -> bool:
    return 0 < len(name) <= _NAME and all(0 < len(label) < 64 for label in name.split("."))


def _bytes(text: str) -> bytes:
    """Return the bytes of a TXT record."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # half a character, which only a zone file can hold
        return text.encode("utf-8", "replace")


@lru_cache(maxsize=4096)
def _number(address: str) -> int:
    return int(ipaddress.ip_address(address))
