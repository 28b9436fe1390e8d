"""Where to cut a collection into slices of about the same size, found by counting.

A count costs a read for each 1,000 documents, so the whole search costs a few per mille of what the slices then read.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

COUNTS_PER_CUT = 12
"""Halving by the alphabet misses where ids are unevenly spread: after so many counts a cut it is good enough."""
ASCII_END = "\x7f"
END = "\U0010ffff"
SURROGATES = range(0xD800, 0xE000)


@dataclass
class _Piece:
    """Ids from `low` (one that exists) to `high` (excluded), and how many documents have them."""

    low: str
    high: str
    size: int
    whole: bool = False
    """True where nothing is between the two: it cannot be cut."""


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
    pieces = [_Piece(low, _narrowed(low, END, first_from), total)]
    for _ in range(wanted * COUNTS_PER_CUT):
        # The largest gains most; halves of slices are joined again below.
        piece = max(pieces, key=lambda piece: 0 if piece.whole else piece.size)
        if piece.whole or piece.size * wanted * 2 <= total:
            break
        middle = between(piece.low, piece.high)
        if middle is None:
            piece.whole = True
            continue
        left = count(piece.low, middle)
        found = first_from(middle) if left < piece.size else None
        if found is None or found >= piece.high:
            piece.high = middle
        else:
            pieces.append(_Piece(found, _narrowed(found, piece.high, first_from), piece.size - left))
            piece.high, piece.size = _narrowed(piece.low, middle, first_from), left
    return _joined(sorted(pieces, key=lambda piece: piece.low), wanted, total)


def between(low: str, high: str) -> str | None:
    """An id about halfway between two, by the alphabet; None where there is hardly any."""
    shared = _shared(low, high)
    code = ord(low[shared]) if shared < len(low) else 0x20
    middle = (code + ord(high[shared])) // 2
    for letter in (middle, middle + 1):  # one of two neighbours is no slash
        if letter > code and _is_id(found := low[:shared] + chr(letter)) and found < high:
            return found
    rest = low[shared + 1 :]
    deeper = between(rest, ASCII_END if rest < ASCII_END else END) if shared < len(low) and rest < END else None
    return None if deeper is None else low[: shared + 1] + deeper


def _is_id(text: str) -> bool:
    return "/" not in text and ord(text[-1]) not in SURROGATES and text not in (".", "..")


def _shared(low: str, high: str) -> int:
    """How many letters two different texts begin with that are the same."""
    return next((index for index, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), len(low))


def _narrowed(low: str, high: str, first_from: Callable[[str], str | None]) -> str:
    """An end of the ids from `low` to `high` that is nearer: behind the letters that all of them begin with.

    It is found by looking, a read for each letter: counts would be many more.
    """
    for index in range(_shared(low, high), len(low)):
        code = ord(low[index]) + 1
        after = low[:index] + chr(code if code not in SURROGATES else SURROGATES.stop)
        found = first_from(after) if after < high and _is_id(after) else None
        if found is not None and found < high:
            return min(high, low[:index] + (ASCII_END if low[index] < ASCII_END else END))
        high = min(high, after)
    return high


def _joined(pieces: list[_Piece], wanted: int, total: int) -> list[str]:
    """The cuts between pieces, neighbours joined until each has about a slice's size."""
    found: list[str] = []
    size = 0
    for piece, following in pairwise(pieces):
        size += piece.size
        if size + following.size / 2 > total / wanted * (len(found) + 1) and len(found) < wanted - 1:
            found.append(following.low)
    return found
