"""What Bayes has learned: counts, lessons, forgetting, files that are damaged, moved, held by others."""

from __future__ import annotations

import errno
import os
import random
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path

import pytest

import vaglio.store.files
import vaglio.store.tokens
from vaglio.ports import Effect, Kind, Learned, Lesson, StoreError, Word
from vaglio.store.tokenrows import Origin, Remembered
from vaglio.store.tokens import AGAIN, FILE_NAME, LookTokens, MemoryTokens, SqliteTokens, Tokens, open_tokens

SPAM, HAM = Kind.SPAM, Kind.HAM
TODAY = 20_779


def note(number: int, *ids: int) -> Lesson:
    return Lesson(number.to_bytes(16, "big"), ids)


def opened(path: Path, warnings: list[str] | None = None, **more: float) -> SqliteTokens:
    warn = pytest.fail if warnings is None else warnings.append
    return SqliteTokens(path, warn=warn, now=lambda: 1_790_000_000.0, **more)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / FILE_NAME


@pytest.fixture(params=["file", "memory"])
def store(request: pytest.FixtureRequest, path: Path) -> Iterator[Tokens]:
    with closing(opened(path) if request.param == "file" else MemoryTokens()) as store:
        yield store


# --- learning ---


def test_nothing_is_known_at_first(store: Tokens) -> None:
    assert store.counts([1, 2]) == {}
    assert store.counts([]) == {}
    assert store.learned() == Learned(0, 0)


def test_words_are_counted_by_the_messages_that_had_them(store: Tokens) -> None:
    assert store.learn([note(1, 10, 11), note(2, 11, 12)], SPAM, TODAY) == [Effect.LEARNED] * 2
    assert store.learn([note(3, 12, 13)], HAM, TODAY) == [Effect.LEARNED]
    assert store.counts([10, 11, 12, 13, 14]) == {10: (1, 0), 11: (2, 0), 12: (1, 1), 13: (0, 1)}
    assert store.learned() == Learned(2, 1)


def test_the_same_message_again_changes_nothing(store: Tokens) -> None:
    assert store.learn([note(1, 10), note(1, 10)], SPAM, TODAY) == [Effect.LEARNED, Effect.KNOWN]
    assert store.learn([note(1, 10)], SPAM, TODAY + 1) == [Effect.KNOWN]
    assert store.counts([10]) == {10: (1, 0)}
    assert store.learned() == Learned(1, 0)


def test_a_message_of_the_other_kind_is_moved(store: Tokens) -> None:
    store.learn([note(1, 10, 11), note(2, 11)], HAM, TODAY)
    assert store.learn([note(1, 10, 11)], SPAM, TODAY) == [Effect.MOVED]
    assert store.counts([10, 11]) == {10: (1, 0), 11: (1, 1)}
    assert store.learned() == Learned(1, 1)
    assert store.learn([note(1, 10, 11), note(3, 10), note(1, 10, 11)], HAM, TODAY) == [
        Effect.MOVED, Effect.LEARNED, Effect.KNOWN,
    ]  # fmt: skip
    assert store.counts([10, 11]) == {10: (0, 2), 11: (0, 2)}


def test_a_message_is_forgotten(store: Tokens) -> None:
    store.learn([note(1, 10, 11), note(2, 11)], SPAM, TODAY)
    effects = store.forget([note(1, 10, 11), note(1, 10, 11), note(9, 10)])
    assert effects == [Effect.FORGOTTEN, Effect.UNKNOWN, Effect.UNKNOWN]
    assert store.counts([10, 11]) == {10: (0, 0), 11: (1, 0)}
    assert store.learned() == Learned(1, 0)
    assert store.learn([note(1, 10, 11)], HAM, TODAY) == [Effect.LEARNED]


def test_what_is_taken_back_by_other_words_leaves_no_count_below_none(store: Tokens) -> None:
    store.learn([note(1, 10)], HAM, TODAY)
    store.learn([note(1, 20, 21)], SPAM, TODAY)  # made by a later version
    assert store.counts([10, 20, 21]) == {10: (0, 1), 20: (1, 0), 21: (1, 0)}
    assert store.learned() == Learned(1, 0)
    store.forget([note(1, 30)])
    assert store.counts([30]) == {}


@pytest.mark.parametrize("number", [1, 63, 64, 65, 1023, 1024, 1025, 5000])
def test_any_number_of_words_is_asked_for_at_once(store: Tokens, number: int) -> None:
    rng = random.Random(number)
    ids = [rng.getrandbits(64) - 2**63 for _ in range(number)]
    store.learn([note(1, *ids)], SPAM, TODAY)
    assert store.counts([*ids, 5]) == dict.fromkeys(ids, (1, 0))


def test_the_ends_of_the_range_of_ids_are_words_like_any_other(store: Tokens) -> None:
    ends = (-(2**63), 2**63 - 1)
    store.learn([note(1, *ends)], HAM, TODAY)
    assert set(store.counts(ends)) == set(ends)
    assert [one.id for one in store.all() if isinstance(one, Word)] == list(ends)
    assert walk(store, lambda _: True) == list(ends)


def test_learning_in_any_order_and_any_grouping_counts_the_same() -> None:
    rng = random.Random(7)
    lessons = [note(number, *rng.sample(range(50), 8)) for number in range(40)]
    steps = [(rng.choice(lessons), rng.choice([SPAM, HAM, None])) for _ in range(300)]
    last = {lesson.digest: (lesson, kind) for lesson, kind in steps}
    expected: dict[int, list[int]] = {number: [0, 0] for number in range(50)}
    for lesson, kind in last.values():
        for one in lesson.ids if kind else ():
            expected[one][kind is HAM] += 1
    with closing(MemoryTokens()) as store:
        for lesson, kind in steps:
            store.forget([lesson]) if kind is None else store.learn([lesson], kind, TODAY)
        counts = {number: store.counts([number]).get(number, (0, 0)) for number in range(50)}
        assert counts == {number: tuple(pair) for number, pair in expected.items()}
        assert sum(store.learned()) == sum(kind is not None for _, kind in last.values())


# --- forgetting ---


def walk(store: Tokens, stale: Callable[[Word], bool], limit: int = 3) -> list[int]:
    """Go through all words; return the ids that were asked about, in order."""
    asked: list[int] = []

    def ask(word: Word) -> bool:
        asked.append(word.id)
        return stale(word)

    start = store.forget_words(None, limit, ask)
    while start is not None:
        start = store.forget_words(start, limit, ask)
    return asked


def test_each_word_is_looked_at_once_and_stale_ones_are_forgotten(store: Tokens) -> None:
    store.learn([note(1, *range(-5, 5))], SPAM, TODAY)
    store.learn([note(2, 1, 2)], HAM, TODAY + 3)
    seen: dict[int, Word] = {}
    assert walk(store, lambda word: seen.setdefault(word.id, word).seen == TODAY) == list(range(-5, 5))
    assert seen[1] == Word(1, 1, 1, TODAY + 3)
    assert set(store.counts(range(-5, 5))) == {1, 2}
    assert store.learned() == Learned(1, 1)


def test_a_word_that_is_learned_while_it_is_judged_stays(path: Path) -> None:
    with closing(opened(path)) as store, closing(opened(path)) as other:
        store.learn([note(1, 10, 11)], SPAM, TODAY)

        def judge(word: Word) -> bool:
            if word.id == 10:
                other.learn([note(2, 10)], SPAM, TODAY)
            return True

        assert store.forget_words(None, 10, judge) is None
        assert store.counts([10, 11]) == {10: (2, 0)}


def test_messages_are_forgotten_by_their_day_and_their_words_stay(store: Tokens) -> None:
    for number in range(10):
        store.learn([note(number, 10)], SPAM, TODAY + number)
    place: bytes | None = b""
    while place is not None:
        place = store.forget_messages(place, 3, TODAY + 4)
    assert [one.day for one in store.all() if isinstance(one, Remembered)] == [TODAY + n for n in range(4, 10)]
    assert store.counts([10]) == {10: (10, 0)}
    assert store.learned() == Learned(10, 0)
    assert store.learn([note(0, 10), note(9, 10)], SPAM, TODAY) == [Effect.LEARNED, Effect.KNOWN]


# --- for the admin ---


def test_the_summary_says_what_there_is(store: Tokens) -> None:
    assert store.summary() == (Learned(0, 0), 0, {}, 0, 0)
    store.learn([note(1, 10, 11)], SPAM, TODAY)
    store.learn([note(2, 11)._replace(version=2)], HAM, TODAY + 5)
    assert store.summary() == (Learned(1, 1), 2, {1: 1, 2: 1}, TODAY, TODAY + 5)


def test_all_can_be_taken_out_and_put_in_elsewhere(store: Tokens) -> None:
    store.learn([note(1, 10, 11), note(2, 11)], SPAM, TODAY)
    store.learn([note(3, -11)], HAM, TODAY)
    found = list(store.all())
    assert found[0] == Learned(2, 1)
    messages = [one for one in found if isinstance(one, Remembered)]
    words = [one for one in found if isinstance(one, Word)]
    assert store.known([one.digest for one in messages] + [b"?" * 16]) == 3
    with closing(MemoryTokens()) as other:
        other.learn([note(3, 5)], SPAM, TODAY)
        other.add(found)
        assert other.learned() == Learned(3, 1)
        assert other.counts([5, 10, 11, -11]) == {5: (1, 0), 10: (1, 0), 11: (2, 0), -11: (0, 1)}
        own = origins(other)
        other.clear()
        assert all_but_origins(other) == [Learned(0, 0)]
        assert not other.holds(own)
        other.learn([note(4, 6)], HAM, TODAY)
        other.add(found, replace=True)
        assert all_but_origins(other) == [found[0], *messages, *words]


def origins(store: Tokens) -> list[Origin]:
    return [one for one in store.all() if isinstance(one, Origin)]


def all_but_origins(store: Tokens) -> list[object]:
    return [one for one in store.all() if not isinstance(one, Origin)]


def test_a_store_knows_of_which_others_something_is_in_it(store: Tokens) -> None:
    (mine,) = origins(store)
    assert len(mine.id) == 16
    with closing(MemoryTokens()) as other:
        (theirs,) = origins(other)
        assert mine != theirs
        assert not store.holds([theirs])
        store.add(other.all())
        assert store.holds([Origin(b"?" * 16), theirs])
        assert set(origins(store)) == {mine, theirs}


# --- what is kept of look-ups ---


def test_every_change_is_seen_whatever_was_asked_before(store: Tokens) -> None:
    changes: list[tuple[Callable[[], object], dict[int, tuple[int, int]], Learned]] = [
        (lambda: store.learn([note(1, 10)], SPAM, TODAY), {10: (1, 0)}, Learned(1, 0)),
        (lambda: store.learn([note(1, 10)], HAM, TODAY), {10: (0, 1)}, Learned(0, 1)),
        (lambda: store.add([Learned(5, 5), Word(11, 2, 2, TODAY)]), {10: (0, 1), 11: (2, 2)}, Learned(5, 6)),
        (lambda: store.forget([note(1, 10)]), {10: (0, 0), 11: (2, 2)}, Learned(5, 5)),
        (lambda: store.forget_words(None, 9, lambda word: word.spam == 0), {11: (2, 2)}, Learned(5, 5)),
        (store.clear, {}, Learned(0, 0)),
    ]
    assert store.counts([10, 11]) == {}
    for change, counts, learned in changes:
        change()
        for _ in range(2):
            assert store.counts([10, 11]) == counts
            assert store.learned() == learned


@pytest.mark.parametrize("look", [False, True])
def test_what_others_learn_is_seen_by_the_next_message(path: Path, look: bool) -> None:
    with closing(opened(path)) as teacher:
        teacher.learn([note(1, 10)], SPAM, TODAY)
        with closing(LookTokens(path) if look else opened(path)) as store:
            for number in range(2, 5):
                assert store.counts([10, 99]) == {10: (number - 1, 0)}
                assert store.learned() == Learned(number - 1, 0)
                teacher.learn([note(number, 10)], SPAM, TODAY)


def test_what_is_kept_has_a_bound(store: Tokens, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vaglio.store.tokens, "KEPT", 10)
    store.learn([note(1, *range(5))], SPAM, TODAY)
    for start in range(0, 100, 5):
        assert store.counts([0, *range(start, start + 5)]).keys() == {0, *range(start, min(start + 5, 5))}
        assert len(store._kept.counts) <= 10 + 6


def test_a_look_up_that_fails_is_not_taken_for_an_answer(path: Path) -> None:
    with closing(opened(path)) as store:
        store.learn([note(1, 10)], SPAM, TODAY)
        store.counts([11])
        connection = store._file.connection
        assert connection
        connection.set_progress_handler(lambda: 1, 30)  # more than it takes to ask whether anything changed
        with pytest.raises(StoreError):
            store.counts([10])
        connection.set_progress_handler(None, 0)
        assert store.counts([10]) == {10: (1, 0)}


# --- the file ---


def test_nothing_is_opened_before_it_is_asked(path: Path) -> None:
    store = open_tokens(path.parent, warn=pytest.fail, now=lambda: 0.0)
    assert not path.parent.exists()
    store.counts([1])
    assert path.exists()
    assert path.stat().st_mode & 0o777 == 0o640
    store.close()
    store.close()


def test_without_a_directory_it_is_in_memory() -> None:
    with closing(open_tokens(None, warn=pytest.fail, now=lambda: 0.0)) as store:
        store.learn([note(1, 10)], SPAM, TODAY)
        assert store.counts([10]) == {10: (1, 0)}


def test_what_was_learned_outlives_the_process(path: Path) -> None:
    with closing(opened(path)) as store:
        store.learn([note(1, 10)], SPAM, TODAY)
    with closing(opened(path)) as store:
        assert store.counts([10]) == {10: (1, 0)}
        assert store.learn([note(1, 10)], SPAM, TODAY) == [Effect.KNOWN]


def test_readers_read_while_somebody_learns(path: Path) -> None:
    with closing(opened(path)) as store:
        store.learn([note(1, 10)], SPAM, TODAY)
        with closing(sqlite3.connect(path, isolation_level=None)) as writer:
            writer.execute("BEGIN IMMEDIATE")
            writer.execute("UPDATE tokens SET spam = 7")
            assert store.counts([10]) == {10: (1, 0)}
            writer.execute("COMMIT")
        assert store.counts([10]) == {10: (7, 0)}


def test_a_change_waits_for_others_only_so_long_and_says_who_is_in_the_way(path: Path) -> None:
    with closing(opened(path, lock_wait=0.01)) as store:
        store.learn([note(1, 10)], SPAM, TODAY)
        with closing(sqlite3.connect(path, isolation_level=None)) as writer:
            writer.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreError, match="another process has locked it"):
                store.learn([note(2, 10)], SPAM, TODAY)
        assert store.learn([note(2, 10)], SPAM, TODAY) == [Effect.LEARNED]


def test_a_change_that_is_broken_off_leaves_nothing(path: Path) -> None:
    def broken() -> Iterator[Learned | Word]:
        yield Learned(1, 0)
        yield from (Word(number, 1, 0, TODAY) for number in range(30_000))
        raise KeyboardInterrupt

    with closing(opened(path)) as store:
        store.learn([note(7, 70)], HAM, TODAY)
        with pytest.raises(KeyboardInterrupt):
            store.add(broken(), replace=True)
        assert store.counts([10, 70]) == {70: (0, 1)}
        assert store.learned() == Learned(0, 1)
        assert store.learn([note(1, 10)], SPAM, TODAY) == [Effect.LEARNED]


def test_a_damaged_file_is_set_aside_and_a_new_one_begun(path: Path) -> None:
    with closing(opened(path)) as store:
        store.learn([note(1, *range(5000))], SPAM, TODAY)
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(path.stat().st_size - 4096))
    warnings: list[str] = []
    with closing(opened(path, warnings)) as store:
        with suppress(StoreError):  # for the request that meets it; at the opening nobody does
            store.counts([*range(5000)])
        assert store.counts([10]) == {}
        assert store.learn([note(1, 10)], SPAM, TODAY) == [Effect.LEARNED]
    assert len(warnings) == 1
    assert "set aside" in warnings[0]
    assert [one.name for one in path.parent.glob("*corrupt*")]


def test_a_file_that_is_moved_away_is_begun_anew(path: Path) -> None:
    warnings: list[str] = []
    with closing(opened(path, warnings)) as store:
        store.learn([note(1, 10)], SPAM, TODAY)
        assert store.counts([10]) == {10: (1, 0)}
        path.rename(path.with_name("elsewhere"))
        assert store._file.checkpointer.look()
        assert store.counts([10]) == {}
    assert len(warnings) == 1


class Watch:
    """A clock; and the tries to open a file for changes, which fail while ``denied``."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.time, self.tries, self.denied = 1_790_000_000.0, 0, False
        self._create = vaglio.store.files.create
        monkeypatch.setattr(vaglio.store.files, "create", self._tried)

    def _tried(self, path: Path) -> None:
        self.tries += 1
        if self.denied:  # by the rights of files root would not be denied anything
            raise PermissionError(errno.EACCES, "Permission denied")
        self._create(path)

    def opened(self, path: Path, warnings: list[str]) -> SqliteTokens:
        return SqliteTokens(path, warn=warnings.append, now=lambda: self.time)


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    return Watch(monkeypatch)


def test_a_file_that_may_not_be_written_is_read(path: Path, watch: Watch) -> None:
    with closing(opened(path)) as store:
        store.learn([note(1, 10)], SPAM, TODAY)
    watch.denied, watch.tries = True, 0
    warnings: list[str] = []
    with closing(watch.opened(path, warnings)) as store:
        for _ in range(3):
            assert store.counts([10, 11]) == {10: (1, 0)}
            assert store.learned() == Learned(1, 0)
            with pytest.raises(StoreError, match="Permission denied"):
                store.learn([note(2, 11)], SPAM, TODAY)
        assert watch.tries == 1
        watch.time += AGAIN
        assert store.counts([10]) == {10: (1, 0)}
        assert watch.tries == 2
        (said,) = warnings
        assert said.endswith("; what was learned is looked up, and nothing is learned")
        watch.denied = False
        watch.time += AGAIN
        assert store.learn([note(2, 11)], SPAM, TODAY) == [Effect.LEARNED]
        assert store.counts([10, 11]) == {10: (1, 0), 11: (1, 0)}


def test_a_clock_that_is_set_back_keeps_no_file_closed(path: Path, watch: Watch) -> None:
    watch.denied = True
    with closing(watch.opened(path, [])) as store:
        with pytest.raises(StoreError):
            store.counts([10])
        watch.denied = False
        watch.time -= 10**6
        assert store.counts([10]) == {}


def test_a_directory_in_the_files_place_is_told_of_each_time(path: Path, watch: Watch) -> None:
    path.mkdir(parents=True)
    with closing(watch.opened(path, [])) as store:
        for _ in range(3):
            with pytest.raises(StoreError, match=FILE_NAME):
                store.counts([10])
        assert watch.tries == 1
        path.rmdir()
        watch.time += AGAIN
        assert store.counts([10]) == {}


def test_a_file_of_a_later_version_is_left_alone(path: Path) -> None:
    with closing(opened(path)) as store:
        store.learn([note(1, 10)], SPAM, TODAY)
    with closing(sqlite3.connect(path)) as later:
        later.execute("PRAGMA user_version = 99")
    with closing(opened(path)) as store, pytest.raises(StoreError, match="format 99"):
        store.counts([10])


def test_looking_changes_nothing(path: Path) -> None:
    with pytest.raises(StoreError, match="there is no such file"):
        LookTokens(path)
    with closing(opened(path)) as store:
        store.learn([note(1, 10)], SPAM, TODAY)
        with closing(LookTokens(path)) as look:
            assert look.counts([10]) == {10: (1, 0)}
            with pytest.raises(StoreError, match=FILE_NAME):
                look.learn([note(2, 10)], SPAM, TODAY)
            assert look.summary().learned == Learned(1, 0)
    before = path.read_bytes()
    with closing(LookTokens(path)) as look:
        assert len(list(look.all())) == 4
    assert path.read_bytes() == before


# --- several processes ---

_LEARN = """
import sys
from pathlib import Path
from vaglio.ports import Kind, Lesson
from vaglio.store.tokens import SqliteTokens
store = SqliteTokens(Path(sys.argv[1]), warn=print, now=lambda: 0.0, lock_wait=30)
first = int(sys.argv[2])
for number in range(first, first + 50):
    lesson = Lesson(number.to_bytes(16, "big"), [1, 2, 1000 + number])
    store.learn([lesson], Kind.HAM, 1)
    store.learn([lesson], Kind.SPAM, 1)
store.close()
"""


def test_several_processes_lose_nothing(path: Path) -> None:
    starts: Sequence[int] = (0, 25, 100, 150)  # the first two learn 25 messages both
    processes = [
        subprocess.Popen([sys.executable, "-c", _LEARN, path, str(start)], stdout=subprocess.PIPE) for start in starts
    ]
    assert [(one.communicate(timeout=120)[0], one.returncode) for one in processes] == [(b"", 0)] * 4
    with closing(opened(path)) as store:
        assert store.learned() == Learned(175, 0)
        assert store.counts([1, 2]) == {1: (175, 0), 2: (175, 0)}
