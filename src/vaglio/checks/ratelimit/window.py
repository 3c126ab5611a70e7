"""Sliding windows of constant size: how much was counted within the last so many seconds.

A window is a row of *slots*, oldest first; a slot is the time of the first unit in it and how many units it holds. A
slot takes no more than a hundredth of the limit, unless a single message brings more, and leaves the window as one,
when its first unit does. So

- the sum of the slots is never more than what was counted within the window: nobody under the limit is refused;
- it is less by at most what one slot holds beside its first message, which is below a hundredth of the limit: no limit
  is exceeded by 1 %. Limits below 200 are exact, since there a slot holds one unit;
- two neighbouring slots hold more than a hundredth of the limit together, so a window has some 200 slots, of 12 bytes
  each, and never more than ``MOST_SLOTS`` and one, however much is counted and however long the window is.

Where more is counted than a limit (it was lowered, or there is none), a hundredth of what is counted takes its place.

Different things (client networks, recipients) are remembered one by one, as a hash and the time when they were seen
last, and only up to the limit: exact, and 16 bytes for each.

Pure: bytes and numbers in, bytes and numbers out. Times are Unix seconds.
"""

from __future__ import annotations

from bisect import bisect_right
from struct import Struct
from typing import NamedTuple

SLOTS = 100
"""Parts of a limit that are told apart."""

AHEAD = 60.0
"""Seconds by which a slot may be ahead of the clock: workers read it one after the other, and it is set in small steps.
What is further ahead was written before the clock was set back."""

MOST_SLOTS = 256
"""Slots beyond which those that a slot of today would have taken together are joined."""

_SLOT = Struct("<dI")
_FULL = 0xFFFF_FFFF
_THING = Struct("<dQ")


class Window(NamedTuple):
    """What was counted; ``total`` is the sum of the slots."""

    total: int = 0
    slots: bytes = b""


EMPTY = Window()


def slid(window: Window, now: float, seconds: int) -> Window:
    """Return the window without what is older than ``seconds`` at ``now``."""
    total, slots = window
    if not slots:
        return EMPTY
    if _SLOT.unpack_from(slots, len(slots) - _SLOT.size)[0] > now + AHEAD:
        slots = _set_back(slots, now)
    horizon, begin = now - seconds, 0
    while begin < len(slots):
        first, units = _SLOT.unpack_from(slots, begin)
        if first > horizon:
            break
        total -= units
        begin += _SLOT.size
    return Window(total, slots[begin:]) if begin or slots is not window[1] else window


def _set_back(slots: bytes, now: float) -> bytes:
    """Return the slots with none after ``now``: a clock that ran ahead for a while must not lock anybody out for it."""
    return b"".join(_SLOT.pack(min(first, now), units) for first, units in _SLOT.iter_unpack(slots))


def added(window: Window, units: int, now: float, most: int) -> Window:
    """Return the window, which has slid to ``now``, with ``units`` more; ``most`` is the limit."""
    total, slots = window
    if units <= 0:
        return window
    if not slots:
        return Window(units, _packed(now, units))
    size = max(1, (most if most > total else total) // SLOTS)
    last = len(slots) - _SLOT.size
    first, held = _SLOT.unpack_from(slots, last)
    if held + units <= size:
        return Window(total + units, slots[:last] + _SLOT.pack(first, held + units))
    if last >= MOST_SLOTS * _SLOT.size:
        slots = _joined(slots, size)
    return Window(total + units, slots + _packed(now if now > first else first, units))


def _packed(now: float, units: int) -> bytes:
    if units <= _FULL:
        return _SLOT.pack(now, units)
    return b"".join([_SLOT.pack(now, part) for part in _parts(units)])


def _joined(slots: bytes, size: int) -> bytes:
    """Return the slots with neighbours put together as far as a slot of ``size`` takes them: they were made when slots
    were smaller.
    """
    joined: list[tuple[float, int]] = []
    for first, held in _SLOT.iter_unpack(slots):
        if joined and joined[-1][1] + held <= size:
            joined[-1] = joined[-1][0], joined[-1][1] + held
        else:
            joined.append((first, held))
    return b"".join([_SLOT.pack(first, held) for first, held in joined])


def _parts(units: int) -> list[int]:
    whole, rest = divmod(units, _FULL)
    return [_FULL] * whole + ([rest] if rest else [])


def room_at(window: Window, units: int, most: int, seconds: int) -> float:
    """Return when ``units`` more will fit, if nothing else is counted until then: 0 for now, infinity for never."""
    excess = window.total + units - most
    if excess <= 0:
        return 0.0
    for first, held in _SLOT.iter_unpack(window.slots):
        excess -= held
        if excess <= 0:
            return float(first + seconds)
    return float("inf")


class Things(NamedTuple):
    """Different things, in the order in which they were seen last."""

    seen: bytes = b""


NOTHING = Things()


def things_slid(things: Things, now: float, seconds: int) -> Things:
    """Return the things without those that were last seen more than ``seconds`` ago."""
    seen = things.seen
    if not seen:
        return NOTHING
    if _THING.unpack_from(seen, len(seen) - _THING.size)[0] > now + AHEAD:
        seen = b"".join(_THING.pack(min(last, now), thing) for last, thing in _THING.iter_unpack(seen))
    begin = _newer(seen, now - seconds) * _THING.size
    return Things(seen[begin:]) if begin else things if seen is things.seen else Things(seen)


def _newer(seen: bytes, horizon: float) -> int:
    """Return the place of the first thing that was seen after ``horizon``."""
    if not seen or _THING.unpack_from(seen)[0] > horizon:  # as mostly: nothing is to be left out
        return 0
    return bisect_right(range(len(seen) // _THING.size), horizon, key=lambda i: _THING.unpack_from(seen, i * 16)[0])


def things_count(things: Things, now: float, seconds: int) -> int:
    """Return how many different things were seen within the last ``seconds``."""
    return len(things.seen) // _THING.size - _newer(things.seen, now - seconds)


def last_seen(things: Things, thing: int) -> float:
    """Return when the thing was seen last; 0 if it is none of them. Takes time in proportion to how many there are, but
    at the speed of a search in bytes (3 us for 500).
    """
    at = _place(things, thing)
    return 0.0 if at < 0 else float(_THING.unpack_from(things.seen, at)[0])


def _place(things: Things, thing: int) -> int:
    wanted, at = thing.to_bytes(8, "little"), -1
    while (at := things.seen.find(wanted, at + 1)) >= 0:
        if at % _THING.size == 8:
            return at - 8
    return -1


def thing_added(things: Things, thing: int, now: float, most: int) -> Things:
    """Return the things with this one seen at ``now``, and no more than ``most`` of them, the newest."""
    seen, at = things.seen, _place(things, thing)
    if at >= 0:
        seen = seen[:at] + seen[at + _THING.size :]
    if seen:
        now = max(now, _THING.unpack_from(seen, len(seen) - _THING.size)[0])
    return Things((seen + _THING.pack(now, thing))[-most * _THING.size :])


def thing_room_at(things: Things, most: int, seconds: int, now: float) -> float:
    """Return when one more thing will fit, if none of those is seen again: 0 for now, infinity for never."""
    excess = things_count(things, now, seconds) + 1 - most
    if excess <= 0:
        return 0.0
    at = _newer(things.seen, now - seconds) + excess - 1
    if most == 0:
        return float("inf")
    return float(_THING.unpack_from(things.seen, at * _THING.size)[0] + seconds)
