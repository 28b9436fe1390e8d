"""Walking a list of ActiveCampaign to its end, whatever is added to it or deleted from it meanwhile.

Rows are asked for in order of id, so that what is added comes last. What is deleted moves the rest forward: each page
begins with the last row of the page before, and where it does not, the walk goes back until it does. No row is given
twice; how many the vendor says there are is kept beside, and whoever counts what arrived can compare.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from shared.adapters.rest import Rest
from shared.errors import Rejected

LIMIT = 100
"""The most rows that an answer holds."""
ORDER = {"orders[id]": "ASC"}
IDLE = 6
"""Answers in a row without a new row, after which no more are expected, whatever the vendor says there are."""


@dataclass(frozen=True)
class Place:
    """Where a walk is: rows before it, the last one's id, how many were left out, and the vendor's first total."""

    offset: int = 0
    last_id: int = 0
    left_out: int = 0
    total: int | None = None

    @classmethod
    def read(cls, position: str) -> "Place":
        """A place as `text` wrote it; "" is the beginning."""
        if not position:
            return cls()
        offset, last_id, left_out, total = position.split(":")
        return cls(int(offset), int(last_id), int(left_out), int(total) if total else None)

    @property
    def text(self) -> str:
        """A position to go on from."""
        return f"{self.offset}:{self.last_id}:{self.left_out}:{'' if self.total is None else self.total}"


@dataclass(frozen=True)
class Found:
    """New rows of one answer, the whole answer, the place after them, how many there are in all, and whether more."""

    rows: Sequence[Mapping[str, Any]]
    answer: Mapping[str, Any]
    place: Place
    total: int | None
    more: bool


def walk(api: Rest, path: str, key: str, parameters: Mapping[str, Any], place: Place) -> Iterator[Found]:
    """All rows of a list from a place on, by offset."""
    idle = size = 0
    while True:
        asked = max(0, place.offset - 1)
        answer = api.get(f"/api/3/{path}", {**parameters, **ORDER, "limit": LIMIT, "offset": asked})
        rows, ids, now = _rows(answer, key, path)
        place, total = _counted(place, now)
        size = len(ids) or size or LIMIT
        if asked and (not ids or ids[0] > place.last_id) and idle < IDLE:
            # Rows before were deleted: those that moved forward would be missed.
            idle += 1
            place = replace(place, offset=max(0, asked - size))
            continue
        fresh = _fresh(rows, place)
        end = asked + len(ids)
        place = replace(place, offset=max(end, place.offset), last_id=max(place.last_id, *ids, 0))
        idle = 0 if fresh else idle + 1
        # An answer that has nothing new although there is more is the one before once more, or none at all.
        over = end >= now if fresh and now is not None else end == now or (not fresh and now is None) or idle >= IDLE
        if fresh or over:
            yield Found(fresh, answer, place, total, more=not over)
        if over:
            return


def walk_by_id(api: Rest, path: str, key: str, parameters: Mapping[str, Any], place: Place) -> Iterator[Found]:
    """The same of contacts, which can be asked for from an id on: far down a long list that is much faster.

    https://developers.activecampaign.com/reference/pagination
    """
    idle = 0
    while True:
        after = {"id_greater": place.last_id} if place.last_id else {}
        answer = api.get(f"/api/3/{path}", {**parameters, **ORDER, **after, "limit": LIMIT})
        rows, ids, now = _rows(answer, key, path)
        fresh = _fresh(rows, place)
        over = not ids or idle >= IDLE
        # Of the rest alone, or of all: what the vendor counts then is not said. So all are counted at both ends.
        place, total = _counted(place, now if not after else how_many(api, path, parameters) if over else place.total)
        place = replace(place, offset=place.offset + len(fresh), last_id=max(place.last_id, *ids, 0))
        idle = 0 if fresh else idle + 1
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


def _rows(answer: Any, key: str, path: str) -> tuple[Sequence[Mapping[str, Any]], list[int], int | None]:
    rows = answer.get(key) if isinstance(answer, Mapping) else None
    if not isinstance(rows, list):
        raise Rejected("ActiveCampaign answers something else than was asked", asked=path)
    try:
        ids = [int(row["id"]) for row in rows]
    except (KeyError, TypeError, ValueError) as error:
        raise Rejected("ActiveCampaign gives a row without an id", asked=path) from error
    if any(later < earlier for earlier, later in pairwise(ids)):
        raise Rejected("ActiveCampaign does not keep the order of ids", asked=path)
    return rows, ids, _total(answer)


def _counted(place: Place, now: int | None) -> tuple[Place, int | None]:
    """The place with the first total, and the total to compare with: what was deleted or added meanwhile is no loss."""
    first = now if place.total is None else place.total
    told = [total for total in (first, now) if total is not None]
    return replace(place, total=first), min(told, default=None)


def _total(answer: Any) -> int | None:
    """`meta.total`, which is text."""
    try:
        return int(answer["meta"]["total"])
    except (KeyError, TypeError, ValueError):
        return None
