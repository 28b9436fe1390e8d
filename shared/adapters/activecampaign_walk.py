"""Walking a list of ActiveCampaign to its end, whatever is added to it or deleted from it meanwhile.

Rows are asked for in order of id, so that what is added comes last. What is deleted moves the rest forward: each page
begins with the last row of the page before, and where it does not, the walk goes back until it does. No row is given
twice, none is skipped; and at the end the vendor's own total is told, so that whoever counts what arrived can compare.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count, pairwise
from typing import Any

from shared.adapters.rest import Rest
from shared.errors import Rejected

LIMIT = 100
"""The most rows that an answer holds."""
ORDER = {"orders[id]": "ASC"}
IDLE = 12
"""Answers in a row without a new row, after which no more are expected, whatever the vendor says there are."""


@dataclass(frozen=True)
class Place:
    """Where a walk is: how many rows lie before it, the last one's id, and how many of them were left out."""

    offset: int = 0
    last_id: int = 0
    left_out: int = 0

    @classmethod
    def read(cls, position: str) -> "Place":
        """A place as `text` wrote it; "" is the beginning."""
        return cls(*map(int, position.split(":"))) if position else cls()

    @property
    def text(self) -> str:
        """A position to go on from."""
        return f"{self.offset}:{self.last_id}:{self.left_out}"


@dataclass(frozen=True)
class Found:
    """New rows of one answer, the whole answer, the place after them, how many there are in all, and whether more.

    total is None where the vendor does not say, or has not been asked yet.
    """

    rows: Sequence[Mapping[str, Any]]
    answer: Mapping[str, Any]
    place: Place
    total: int | None
    more: bool

    @property
    def placed(self) -> Iterator[tuple[Mapping[str, Any], Place]]:
        """Each row, and the place after it."""
        for row, offset in zip(self.rows, count(self.place.offset - len(self.rows) + 1), strict=False):
            yield row, replace(self.place, offset=offset, last_id=int(row["id"]))


def walk(api: Rest, path: str, key: str, parameters: Mapping[str, Any], place: Place) -> Iterator[Found]:
    """All rows of a list from a place on, by offset."""
    idle, size, overlap = 0, LIMIT, 1
    while True:
        asked = max(0, place.offset - overlap)
        answer = api.get(f"/api/3/{path}", {**parameters, **ORDER, "limit": LIMIT, "offset": asked})
        rows, ids, total = _rows(answer, key, path)
        size, end = len(ids) or size, asked + len(ids)
        # Where the page does not begin with the last row, rows before it were deleted: some would be skipped.
        moved = asked > 0 and overlap > 0 and (not ids or ids[0] > place.last_id)
        fresh = [] if moved else _fresh(rows, place)
        # Only a page that joins on to the last row is known to lie where it was asked for: some come twice.
        joins = asked == 0 or overlap == 0 or ids[:1] == [place.last_id]
        # An answer that has nothing new although there is more is the one before once more, or none at all.
        over = idle >= IDLE or (joins and not moved and (not fresh if total is None else end == total))
        # Of a page that holds no row but the last one, the next begins behind it.
        overlap = 0 if not fresh and not moved and end == place.offset else 1
        offset = max(0, asked - size) if moved else max(end, place.offset)
        place = replace(place, offset=offset, last_id=max([place.last_id, *(int(row["id"]) for row in fresh)]))
        idle = 0 if fresh else idle + 1
        if fresh or over:
            yield Found(fresh, answer, place, total, more=not over)
        if over:
            return


def walk_by_id(api: Rest, path: str, key: str, parameters: Mapping[str, Any], place: Place) -> Iterator[Found]:
    """The same of contacts, which can be asked for from an id on: far down a long list that is much faster.

    What the vendor counts then, all or the rest, is not said: it is asked at the end how many there are.
    https://developers.activecampaign.com/reference/pagination
    """
    idle = 0
    while True:
        after = {"id_greater": place.last_id} if place.last_id else {}
        answer = api.get(f"/api/3/{path}", {**parameters, **ORDER, **after, "limit": LIMIT})
        rows, ids, _ = _rows(answer, key, path)
        fresh = _fresh(rows, place)
        place = replace(place, offset=place.offset + len(fresh), last_id=max([place.last_id, *ids]))
        idle = 0 if fresh else idle + 1
        total = None if fresh else how_many(api, path, parameters)
        over = not fresh and (idle >= IDLE or (not ids and (total is None or total <= place.offset)))
        if fresh or over:
            yield Found(fresh, answer, place, total, more=not over)
        if over:
            return


def how_many(api: Rest, path: str, parameters: Mapping[str, Any]) -> int | None:
    """How many rows a list has, as the vendor counts; None where it does not say."""
    answer = api.get(f"/api/3/{path}", {**parameters, "limit": 1})
    return _total(answer)


def _fresh(rows: Sequence[Mapping[str, Any]], place: Place) -> list[Mapping[str, Any]]:
    """The rows after a place, each once."""
    return list({int(row["id"]): row for row in rows if int(row["id"]) > place.last_id}.values())


def rows_of(answer: Any, key: str, path: str) -> tuple[Sequence[Mapping[str, Any]], int | None]:
    """The rows of an answer, and how many there are in all; Rejected where it is none."""
    rows = answer.get(key) if isinstance(answer, Mapping) else None
    if not isinstance(rows, list):
        raise Rejected("ActiveCampaign answers something else than was asked", asked=path)
    if not all(isinstance(row, Mapping) and str(row.get("id")).isdecimal() for row in rows):
        raise Rejected("ActiveCampaign gives a row without an id", asked=path)
    return rows, _total(answer)


def _rows(answer: Any, key: str, path: str) -> tuple[Sequence[Mapping[str, Any]], list[int], int | None]:
    rows, total = rows_of(answer, key, path)
    if total == len(rows):
        # One that holds all there is may be in any order.
        rows = sorted(rows, key=lambda row: int(row["id"]))
    ids = [int(row["id"]) for row in rows]
    if any(later < earlier for earlier, later in pairwise(ids)):
        raise Rejected("ActiveCampaign does not keep the order of ids", asked=path)
    return rows, ids, total


def _total(answer: Any) -> int | None:
    """`meta.total`, which is text."""
    try:
        return int(answer["meta"]["total"])
    except (KeyError, TypeError, ValueError):
        return None
