"""Where a collection is cut into slices."""

import random
import uuid
from bisect import bisect_left

import pytest

from shared.streaming.cuts import COUNTS_PER_CUT, between, cuts


class Ids:
    """A collection's ids, and how often it was asked."""

    def __init__(self, ids):
        self.ids = sorted(ids)
        self.counts = 0

    def count(self, low, high):
        self.counts += 1
        return bisect_left(self.ids, high) - bisect_left(self.ids, low)

    def first_from(self, low):
        index = bisect_left(self.ids, low)
        return self.ids[index] if index < len(self.ids) else None

    def sizes(self, wanted):
        edges = ["", *cuts(wanted, len(self.ids), self.count, self.first_from), "\U0010ffff"]
        assert edges == sorted(set(edges))
        return [self.count(low, high) for low, high in zip(edges, edges[1:], strict=False)]


KINDS = {
    "random": lambda chance: uuid.UUID(int=chance.getrandbits(128)).hex,
    "auto ids": lambda chance: "".join(
        chance.choices("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", k=20)
    ),
    "numbered": lambda chance: f"document-{chance.randrange(10**6):06d}",
    "dates": lambda chance: f"2026-{chance.randrange(1, 13):02d}-{chance.randrange(1, 29):02d}_{chance.random()}",
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("wanted", [2, 8, 50])
def test_slices_hold_everything_and_are_about_of_one_size(kind, wanted):
    chance = random.Random(1)
    ids = Ids({KINDS[kind](chance) for _ in range(5_000)})
    sizes = ids.sizes(wanted)
    assert sum(sizes) == len(ids.ids)
    assert wanted / 2 <= len(sizes) <= wanted
    assert max(sizes) <= 3 * len(ids.ids) / wanted
    assert ids.counts <= wanted * COUNTS_PER_CUT + len(sizes)


def test_ids_of_any_script_are_cut_as_well_as_may_be():
    chance = random.Random(1)
    ids = Ids({"".join(chance.choices("äöüß日本語😀abc", k=8)) for _ in range(5_000)})
    sizes = ids.sizes(8)
    assert sum(sizes) == len(ids.ids)
    assert len(sizes) > 1


@pytest.mark.parametrize("ids", [[], ["one"], ["a", "a" * 1000], ["x/"[:1], "y"]])
def test_hardly_anything_is_cut_as_far_as_it_goes(ids):
    assert sum(Ids(ids).sizes(8)) == len(ids)


def test_one_slice_is_not_cut():
    assert cuts(1, 100, lambda low, high: 0, lambda low: "a") == []


@pytest.mark.parametrize(
    ("low", "high"), [("a", "b"), ("a", "c"), ("a", "a\x7f"), ("doc-1", "doc-2"), ("", "\x7f"), (".", "0")]
)
def test_what_is_between_is_between_and_an_id(low, high):
    found = between(low, high)
    assert found is None or (low < found < high and "/" not in found and found not in (".", ".."))
