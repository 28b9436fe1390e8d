"""Two stores that should hold the same, compared by key and hash: page by page, neither ever held as a whole.

The left side is the truth, the right one follows it. A first pass compares hashes of two snapshots; whatever looks
wrong in it is looked at again by key, as both sides are now, with its content. So a write on its way, rows whose text
is only written otherwise, and stores that sort keys differently cost a second look, never a false report.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from shared.comparison.fingerprint import Normalise, canonical, fingerprint

Kind = Literal["equal", "missing", "extra", "stale", "different", "refused", "newer", "aged_out"]
"""
missing    the right side lacks it                 newer     written since the left side's snapshot
extra      only the right side has it              aged_out  on one side only, as its retention says
stale      the right side has an older version     refused   the right side has it, set apart as not valid
different  the same version with other content, or one that the left side never had
"""
DIFFERENCES: tuple[Kind, ...] = ("missing", "extra", "stale", "different", "refused")


@dataclass(frozen=True, slots=True)
class Entry:
    """One key of one side.

    `version` is the time of a write, in microseconds since 1970: it orders those of a key, and equal versions should
    be equal content.
    """

    key: str
    version: int
    fingerprint: str
    refused_reason: str | None = None
    optional: bool = False
    """The other side need not have it: its retention has passed."""
    coarse: str = ""
    """The hash of what a store with fewer types keeps of it; empty where nobody asks."""
    undated: bool = False
    """From such a store, which knew no versions either: its `coarse` alone is compared."""


@dataclass(frozen=True, slots=True)
class Held:
    """What one side holds of a key now; `content` is None for a tombstone, whose version is that of what it deleted."""

    version: int
    content: Any
    refused_reason: str | None = None
    optional: bool = False
    normalise: Normalise | None = None
    """What the right side keeps of a value, where it has fewer types."""
    undated: bool = False


class Side(Protocol):
    """One of the two stores."""

    def pages(self, after: str) -> Iterator[Sequence[Entry]]:
        """Everything whose key comes after one, each once, always in the same order: that of `position`, mostly."""
        ...

    def fetch(self, keys: Collection[str]) -> Iterator[tuple[str, Held]]:
        """What it holds of some keys now, one after the other: all together they may be too much to hold."""
        ...


@dataclass(frozen=True)
class Verdict:
    """What is the matter with one key, and which versions the sides have; 0 where a side has none."""

    key: str
    kind: Kind
    left_version: int = 0
    right_version: int = 0
    reason: str = ""


NOTHING = (0, None)
"""A version and an entry of what a side lacks."""


def by_segment(key: str) -> list[str]:
    """The order of paths: `a/x` comes before `a-b`, although `-` comes before `/`."""
    return key.split("/")


def pairs(
    left: Iterable[Entry], right: Iterable[Entry], position: Callable[[str], Any] = by_segment
) -> Iterator[tuple[Entry | None, Entry | None]]:
    """Both sides' entries, each once, those of the same key together where both sides sort it alike."""
    lefts, rights = iter(left), iter(right)
    mine, other = next(lefts, None), next(rights, None)
    while mine is not None or other is not None:
        if mine is not None and other is not None and mine.key == other.key:
            yield mine, other
            mine, other = next(lefts, None), next(rights, None)
        elif other is None or (mine is not None and position(mine.key) < position(other.key)):
            yield mine, None
            mine = next(lefts, None)
        else:
            yield None, other
            other = next(rights, None)


def judge(left: Entry | None, right: Entry | None, since: int = 0, until: int = 0) -> Kind:
    """What two entries of one key say.

    since, until: versions after the one, up to the other, may be writes that the left side's snapshot does not know.
    """
    if right is None:
        return "aged_out" if left is None or left.optional else "missing"
    newer = since < right.version <= until
    if left is None:
        return "newer" if newer else "aged_out" if right.optional else "extra"
    if right.undated:
        return "equal" if left.coarse == right.coarse else "stale"
    if right.version > left.version:
        return "newer" if newer else "different"
    if right.version < left.version:
        return "stale"
    if left.fingerprint != right.fingerprint:
        return "different"
    if right.refused_reason is not None:
        # What today's declaration would take need not stay refused.
        return "different" if left.refused_reason is None else "refused"
    return "equal"


def look(keys: Collection[str], left: Side, right: Side) -> Iterator[Verdict]:
    """What is the matter with some keys as both sides are now, by their content.

    The right side is read first: a version that it has and the left one, read later, has not, is none that came since.
    Of each content only its hash is kept.
    """
    rights, coarse = {}, {}
    for key, held in right.fetch(keys):
        rights[key], coarse[key] = (held.version, _entry(key, held, held.normalise)), held.normalise
    lefts = {key: (held.version, _entry(key, held, coarse.get(key))) for key, held in left.fetch(keys)}
    for key in keys:
        (left_version, mine), (right_version, other) = lefts.get(key, NOTHING), rights.get(key, NOTHING)
        kind: Kind = "equal" if mine is None and other is None else judge(mine, other)
        yield Verdict(key, kind, left_version, right_version, (other and other.refused_reason) or "")


def _entry(key: str, held: Held, normalise: Normalise | None) -> Entry | None:
    if held.content is None:
        return None
    hashed = fingerprint(canonical(normalise(held.content) if normalise else held.content))
    return Entry(key, held.version, hashed, held.refused_reason, held.optional, hashed, held.undated)
