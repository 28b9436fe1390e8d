"""Where to cut a collection into slices of about the same size, found by counting.

A count costs a read for each 1,000 documents, so the whole search costs a few per mille of what the slices then read.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

COUNTS_PER_CUT = 12
"""Halving by the alphabet misses where ids share a beginning: after so many counts for each cut it is good enough."""
HIGHEST = "\x7f"
NEVER = frozenset("/")


@dataclass
class _Piece:
    """Ids from `low` (one that exists) to `high` (excluded), and how many documents have them."""

    low: str
    high: str
    size: int


def cuts(
    wanted: int, total: int, count: Callable[[str, str], int], first_from: Callable[[str], str | None]
) -> list[str]:
    """Ids, in order, at which to cut a collection of `total` documents into about `wanted` slices.

    count: how many documents have an id from one (included) to another (excluded).
    first_from: the first id that is there, from one on.
    """
    low = first_from("")
    if wanted < 2 or low is None:
        return []
    pieces = [_Piece(low, _end_of_beginning(low, first_from), total)]
    for _ in range(wanted * COUNTS_PER_CUT):
        # Pieces of less than a slice's size need not be cut; the largest gains most.
        piece = max(pieces, key=lambda piece: piece.size)
        middle = between(piece.low, piece.high)
        if len(pieces) >= 2 * wanted or piece.size * wanted <= total or middle is None:
            break
        left = count(piece.low, middle)
        found = first_from(middle) if left < piece.size else None
        if found is None or found >= piece.high:
            piece.high = middle
        else:
            pieces.append(_Piece(found, piece.high, piece.size - left))
            piece.high, piece.size = middle, left
    return _joined(sorted(pieces, key=lambda piece: piece.low), wanted, total)


def between(low: str, high: str) -> str | None:
    """An id about halfway between two, by the alphabet; None where there is hardly any."""
    shared = next((index for index, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), len(low))
    code = ord(low[shared]) if shared < len(low) else 0x20
    top = ord(high[shared])
    if top - code > 1:
        return _id(low[:shared] + chr((code + top) // 2), low, high)
    rest = low[shared + 1 :]
    deeper = between(rest, HIGHEST) if rest < HIGHEST else None
    return None if deeper is None else _id(low[: shared + 1] + deeper, low, high)


def _id(found: str, low: str, high: str) -> str | None:
    valid = not NEVER & set(found) and not 0xD800 <= ord(found[-1]) <= 0xDFFF and found not in (".", "..")
    return found if valid and low < found < high else None


def _end_of_beginning(low: str, first_from: Callable[[str], str | None]) -> str:
    """The end of the ids that share the beginning that all ids share: it need not be found again by each count."""
    for index, letter in enumerate(low):
        after = low[:index] + chr(ord(letter) + 1)
        if first_from(after) is not None:
            return low[:index] + max(HIGHEST, chr(ord(letter) + 2))
    return low + HIGHEST


def _joined(pieces: list[_Piece], wanted: int, total: int) -> list[str]:
    """The cuts between pieces, neighbours joined until each has about a slice's size."""
    found: list[str] = []
    size = 0
    for piece, following in pairwise(pieces):
        size += piece.size
        if size + following.size / 2 > total / wanted * (len(found) + 1) and len(found) < wanted - 1:
            found.append(following.low)
    return found
