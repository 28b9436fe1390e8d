"""Random sides, any order: exactly the true differences, each key once."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from shared.comparison.comparer import Entry, Held, by_segment, judge, look, pairs
from shared.comparison.fingerprint import canonical, fingerprint
from tests.support.comparing import Store

KEYS = st.lists(st.sampled_from(["a", "b", "a-b", "ä", "z"]), min_size=1, max_size=3).map("/".join)
HELD = st.tuples(st.integers(1, 3), st.sampled_from([1, 1.0, None, "x"]))
STORES = st.dictionaries(KEYS, HELD, max_size=12)


def truth(left, right):
    """What a person would say who sees both sides whole."""
    found = {}
    for key in left.keys() | right.keys():
        if key not in right:
            found[key] = "missing"
        elif key not in left:
            found[key] = "extra"
        elif left[key][0] != right[key][0]:
            found[key] = "stale" if left[key][0] > right[key][0] else "different"
        else:
            same = canonical({"v": left[key][1]}) == canonical({"v": right[key][1]})
            found[key] = "equal" if same else "different"
    return found


def compared(left, right):
    found = {}
    for mine, other in pairs(left.entries(""), right.entries("")):
        key = (mine or other).key
        assert key not in found, "each key once"
        found[key] = judge(mine, other)
    return found


@given(STORES, STORES)
def test_a_pass_finds_exactly_the_true_differences(left, right):
    assert compared(Store(left), Store(right)) == truth(left, right)


@given(STORES, STORES, st.randoms())
def test_where_a_side_has_another_order_a_second_look_finds_exactly_the_true_differences(left, right, random):
    order = sorted(right)
    random.shuffle(order)
    shuffled = Store(right, order=order)
    doubtful = set()
    for mine, other in pairs(Store(left).entries(""), shuffled.entries("")):
        if judge(mine, other) != "equal":
            doubtful.add((mine or other).key)
    wrong = {key: kind for key, kind in truth(left, right).items() if kind != "equal"}
    assert wrong.keys() <= doubtful
    seen = {verdict.key: verdict.kind for verdict in look(doubtful, Store(left), shuffled)}
    assert {key: kind for key, kind in seen.items() if kind != "equal"} == wrong


@given(STORES, st.integers(0, 12))
def test_pages_go_on_behind_any_key(held, size):
    store = Store(held, size=max(1, size))
    keys = [entry.key for entry in store.entries("")]
    assert keys == sorted(held, key=by_segment)
    for index, key in enumerate(keys):
        assert [entry.key for entry in store.entries(key)] == keys[index + 1 :]


def entry(version, text="x", **more):
    return Entry("k", version, fingerprint(text.encode()), **more)


def test_what_came_after_the_snapshot_is_no_difference_and_what_is_of_the_future_is():
    assert judge(entry(5), entry(8), since=7, until=9) == "newer"
    assert judge(None, entry(8), since=7, until=9) == "newer"
    assert judge(entry(5), entry(7), since=7, until=9) == "different"
    assert judge(entry(5), entry(10), since=7, until=9) == "different"
    assert judge(None, entry(10), since=7, until=9) == "extra"
    assert judge(entry(8), entry(5), since=7, until=9) == "stale"


def test_what_may_be_absent_by_its_retention_is_not_missing():
    assert judge(entry(5, optional=True), None) == "aged_out"
    assert judge(None, entry(5, optional=True)) == "aged_out"
    assert judge(entry(5, optional=True), entry(5)) == "equal"


def test_refused_is_a_kind_of_its_own_only_while_it_would_still_be_refused():
    assert judge(entry(5, refused_reason="bad"), entry(5, refused_reason="bad")) == "refused"
    assert judge(entry(5), entry(5, refused_reason="bad")) == "different"
    assert judge(entry(5, refused_reason="bad"), entry(5)) == "equal"
    assert judge(entry(6), entry(5, refused_reason="bad")) == "stale"


@dataclass
class Scripted:
    """A side that says when it is read."""

    held: Mapping[str, Held]
    read: list[str] = field(default_factory=list)
    name: str = ""

    def pages(self, after):
        raise AssertionError

    def fetch(self, keys: Collection[str]) -> Iterator[tuple[str, Held]]:
        self.read.append(self.name)
        for key in keys:
            if key in self.held:
                yield key, self.held[key]


def test_a_tombstone_is_absent_and_its_version_is_told():
    left, right = Scripted({"k": Held(5, {})}), Scripted({"k": Held(5, None)})
    [verdict] = look(["k"], left, right)
    assert (verdict.kind, verdict.left_version, verdict.right_version) == ("missing", 5, 5)
    [verdict] = look(["k"], Scripted({}), right)
    assert verdict.kind == "equal"


def test_the_right_side_is_read_first_so_that_what_the_left_does_not_know_is_wrong():
    read = []
    [verdict] = look(["k"], Scripted({"k": Held(5, {})}, read, "left"), Scripted({"k": Held(6, {})}, read, "right"))
    assert (verdict.kind, read) == ("different", ["right", "left"])


class Content(dict):
    """A document; how many of them are alive is counted."""

    alive = most = 0

    def __init__(self, values):
        super().__init__(values)
        Content.alive += 1
        Content.most = max(Content.most, Content.alive)

    def __del__(self):
        Content.alive -= 1


class Large(Scripted):
    """A side whose documents are made as they are read."""

    def fetch(self, keys):
        for key in keys:
            yield key, Held(5, Content({"n": 1}))


def test_a_look_holds_a_document_at_a_time_however_many_it_looks_at():
    keys = [str(number) for number in range(300)]
    assert {verdict.kind for verdict in look(keys, Large({}), Large({}))} == {"equal"}
    assert 0 < Content.most <= 3


def test_a_store_with_fewer_types_is_compared_by_what_it_keeps():
    def coarse(content):
        return {name: float(value) for name, value in content.items()}

    left, exact = Scripted({"k": Held(5, {"n": 2})}), Scripted({"k": Held(5, {"n": 2.0})})
    assert [verdict.kind for verdict in look(["k"], left, exact)] == ["different"]
    poor = Scripted({"k": Held(5, {"n": 2.0}, normalise=coarse)})
    assert [verdict.kind for verdict in look(["k"], left, poor)] == ["equal"]
    wrong = Scripted({"k": Held(5, {"n": 3.0}, normalise=coarse)})
    assert [verdict.kind for verdict in look(["k"], left, wrong)] == ["different"]
