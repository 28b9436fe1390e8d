"""A comparison from its first key to its last: crashes, slices, writes on their way, bounds."""

from collections import Counter
from datetime import timedelta

import pytest

from shared.comparison import verification
from shared.comparison.records import KEPT_FOR, Verification
from shared.comparison.verification import Verifications
from shared.errors import Unavailable
from shared.ops.progress import ProgressBook
from tests.fakes import FakeDocuments
from tests.support.comparing import Clock, Pair, Store

SIZE = 3_000


def key(number):
    return f"docs/{number:06}"


class Lab:
    def __init__(self, left, right, settle=60.0, tick=0.0, size=500):
        self.clock = Clock(tick)
        self.left, self.right = Store(left, size), Store(right, size)
        self.pair = Pair(self.left, self.right, lambda: self.clock.now)
        self.ops = FakeDocuments()
        self.settle = settle

    @property
    def book(self):
        return Verifications(self.ops, ProgressBook(self.ops, self.clock), self.clock, self.clock.sleep)

    def start(self):
        now = self.clock.now
        return self.book.start(
            Verification(
                run_id="run",
                subject="docs",
                settle_seconds=self.settle,
                started_at=now,
                updated_at=now,
                expires_at=now + KEPT_FOR,
            )  # fmt: skip
        )

    def run(self, enough=lambda: False):
        return self.book.carry_on(self.start(), self.pair, enough)

    def kinds(self):
        return {one.key: one.kind for one in self.book.differences("run")}


def sides(size=SIZE):
    """Two sides, and what is wrong with the right one."""
    left = {key(number): (10, number) for number in range(size)}
    right = dict(left)
    wrong = {}
    for number in range(17, size, 701):
        del right[key(number)]
        right[key(number) + "x"] = (10, 0)
        right[key(number + 1)] = (9, number + 1)
        right[key(number + 2)] = (10, -1)
        wrong |= {
            key(number): "missing",
            key(number) + "x": "extra",
            key(number + 1): "stale",
            key(number + 2): "different",
        }
    return left, right, wrong


def test_all_that_differs_is_found_and_kept_in_the_order_of_keys():
    left, right, wrong = sides()
    lab = Lab(left, right)
    found = lab.run()
    assert found.status == "done"
    assert lab.kinds() == wrong
    assert list(lab.kinds()) == sorted(wrong)
    equal = SIZE - sum(kind != "extra" for kind in wrong.values())
    assert found.counts == {"equal": equal, **Counter(wrong.values())}
    assert (found.left_after, found.right_after, found.suspects) == ("", "", [])
    assert lab.pair.closed == 1
    progress = ProgressBook(lab.ops).get("run")
    assert (progress.status, progress.counts, progress.total) == ("done", found.counts, SIZE)


def test_nothing_is_waited_for_where_nothing_differs():
    left, _, _ = sides(2_000)
    lab = Lab(left, dict(left))
    assert lab.run().counts == {"equal": 2_000}
    assert lab.clock.slept == []


@pytest.mark.parametrize("crash_at", range(1, 24, 2))
def test_a_crash_anywhere_loses_nothing_and_counts_nothing_twice(crash_at):
    left, right, wrong = sides()
    lab = Lab(left, right, tick=1.0)
    calls = 0
    put = lab.ops.put

    def crashing(path, values):
        nonlocal calls
        calls += 1
        if calls == crash_at:
            raise Unavailable("killed")
        put(path, values)

    lab.ops.put = crashing
    crashes = 0
    while True:
        try:
            found = lab.run()
            break
        except Unavailable:
            crashes += 1
    assert crashes == 1
    assert lab.kinds() == wrong
    assert found.counts == {"equal": SIZE - sum(kind != "extra" for kind in wrong.values()), **Counter(wrong.values())}


def test_a_crash_goes_on_behind_the_last_checkpoint():
    left, right, _ = sides()
    lab = Lab(left, right, tick=1.0)
    lab.run(enough=lambda: lab.left.pages_read >= 3)
    before = lab.left.pages_read
    assert 0 < before < 5
    lab.left.pages_read = 0
    lab.run()
    assert lab.left.pages_read <= SIZE // 500 - before + 2


def test_slices_end_with_the_same_result():
    left, right, wrong = sides()
    lab = Lab(left, right, tick=0.5)
    slices = 0
    found = lab.start()
    while found.status != "done":
        found = lab.run(enough=lambda: True)
        slices += 1
        assert ProgressBook(lab.ops).get("run").status in ("running", "requested", "done")
    assert slices == 1 + SIZE // verification.CHECKPOINT_KEYS
    assert lab.kinds() == wrong


def test_a_slice_that_ends_among_keys_of_one_side_goes_on_on_both():
    few, many = {"docs/a": (10, 0), "docs/z": (10, 0)}, {f"docs/b{number:04}": (10, 0) for number in range(1_500)}
    for left, right, kind in ((few, {**many, "docs/z": (10, 0)}, "extra"), ({**many, **few}, few, "missing")):
        lab = Lab(left, right, settle=0.0)
        found = lab.start()
        while found.status != "done":
            found = lab.run(enough=lambda: True)
        assert found.counts.pop("missing", 0) + found.counts.pop("extra", 0) == 1_500 + (kind == "extra")
        assert sum(found.counts.values()) == 1 + (kind == "missing")


def test_a_repeat_of_what_is_done_does_nothing():
    left, right, _ = sides(100)
    lab = Lab(left, right)
    found = lab.run()
    openings = lab.pair.openings
    assert lab.book.carry_on(found, lab.pair) == found
    assert lab.pair.openings == openings


RECENT = int(Clock().now.timestamp() * 1_000_000) - 1


def test_a_row_that_arrives_while_it_settles_is_no_difference():
    left = {key(number): (RECENT, number) for number in range(50)}
    right = {name: held for name, held in left.items() if name not in (key(7), key(8))}
    lab = Lab(left, right)
    lab.clock.on_sleep = lambda: right.update({key(7): left[key(7)]})
    assert lab.run().counts == {"equal": 49, "missing": 1}
    assert lab.kinds() == {key(8): "missing"}
    assert lab.clock.slept == [60.0]


def test_a_document_that_changes_all_the_time_is_well_as_long_as_its_rows_follow():
    left = {key(number): (RECENT, number) for number in range(3)}
    right = {**left, key(0): (9, 0), key(1): (9, 0)}
    lab = Lab(left, right)

    def write():
        # Both change on and on; the rows of the first follow, one write behind, those of the second are lost.
        right[key(0)] = left[key(0)]
        left[key(0)] = (left[key(0)][0] + 60_000_000, 0)
        left[key(1)] = (left[key(1)][0] + 60_000_000, 0)

    lab.clock.on_sleep = write
    found = lab.run()
    assert lab.kinds() == {key(1): "stale"}
    assert found.counts == {"equal": 1, "stale": 1, "newer": 1}


def test_writes_during_the_pass_are_no_differences():
    left = {key(number): (10, number) for number in range(3_000)}
    right = dict(left)
    lab = Lab(left, right)

    def late(moment):
        # Firestore's snapshot first; rows that come before BigQuery's are newer than it.
        sides = lab.left.take(), lab.right
        version = int(moment.timestamp() * 1_000_000) + 5
        left[key(5)] = right[key(5)] = (version, "changed")
        left[key(9999)] = right[key(9999)] = (version, "new")
        del left[key(6)]
        lab.right.take()
        lab.clock.on_sleep = lambda: right.pop(key(6), None)
        return sides

    lab.pair.open = late
    found = lab.run()
    assert lab.kinds() == {}
    assert found.counts["newer"] == 2


def test_an_old_snapshot_is_taken_anew():
    left, right, wrong = sides()
    lab = Lab(left, right)
    found = lab.run(enough=lambda: True)
    lab.clock.now += timedelta(hours=3)
    again = lab.run(enough=lambda: True)
    assert again.read_at - found.read_at == timedelta(hours=3)
    while again.status != "done":
        again = lab.run()
    assert lab.kinds() == wrong


def test_however_much_differs_little_is_held_and_all_is_counted():
    left = {key(number): (10, number) for number in range(10_500)}
    lab = Lab(left, {key(number) + "x": (10, number) for number in range(700)}, tick=0.001)
    suspects, put = [], lab.ops.put

    def watched(path, values):
        suspects.append(len(values.get("suspects", [])))
        put(path, values)

    lab.ops.put = watched
    found = lab.run()
    assert found.counts == {"missing": 10_500, "extra": 700}
    assert len(lab.kinds()) == verification.MOST_KEPT
    assert 0 < max(suspects) <= verification.MOST_SUSPECTS
    assert sum(lab.clock.slept) <= 60


def test_what_is_old_is_not_waited_for():
    left, right, wrong = sides(2_000)
    extra = {name for name, kind in wrong.items() if kind == "extra"}
    lab = Lab(left, {name: held for name, held in right.items() if name not in extra})
    assert len(lab.run().counts) == 4
    assert lab.clock.slept == []


def test_a_run_that_is_asked_for_twice_is_one_run():
    left, right, _ = sides(10)
    lab = Lab(left, right)
    lab.start()
    lab.run(enough=lambda: True)
    assert lab.start().status == "done"
