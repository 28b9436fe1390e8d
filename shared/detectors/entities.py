"""What the statements yield, as arrays: sums of windows, single days and months of each entity."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.analytics.attributes import ATTRIBUTES
from shared.detectors.compiler import BLOCK_DAYS, Family, Plan
from shared.detectors.coverage import Coverage
from shared.detectors.declaration import Span
from shared.detectors.metrics import SPARSE
from shared.schema.ports import Ragged

Floats = NDArray[np.float64]
Columns = Mapping[str, Any]
STOCKS = frozenset(
    {"position", "search_volume", "difficulty", "kgr", "mrr", "active_subscriptions"}
    | {one.name for one in ATTRIBUTES.values() if one.kind == "stock"}
)
"""Metrics that stand as they are on a day: a day without a row says nothing of them, where a flow was 0."""
FOLDED = "(other)"
"""What Google Analytics calls the rare values of a dimension together: they count, and are nothing to act on."""


@dataclass
class Entities:
    """The entities of one type; every array has one value (or one series) for each, in the order of `ids`.

    is_rest: the one row that sums up those too small to be judged.
    """

    entity_type: str
    ids: NDArray[np.object_]
    is_rest: NDArray[np.bool_]
    numbers: dict[str, Floats] = field(default_factory=dict)
    labels: dict[str, NDArray[np.object_]] = field(default_factory=dict)
    rows: NDArray[np.bool_] = field(default_factory=lambda: np.zeros((0, 0), dtype=bool))
    days: dict[str, Floats] = field(default_factory=dict)
    months: dict[str, Floats] = field(default_factory=dict)

    def value(self, span: Span, kind: str, metric: str) -> Floats:
        """A statistic that SQL worked out; a sum is NaN where a day with a row does not measure it, 0 without rows."""
        found = self.numbers.get(f"{kind}_{span.key}_{metric}")
        if found is None:
            return np.full(len(self.ids), np.nan)
        if kind != "sum":
            return found
        seen = self.numbers[f"seen_{span.key}"] > 0
        measured = self.entity_type in SPARSE or bool(np.any(seen & ~np.isnan(found)))
        return np.where(seen, found, 0.0 if measured else np.nan)

    def daily(self, coverage: Coverage, span: Span, metric: str) -> Floats:
        """Single days of a window, oldest first; of a flow 0 where the type has rows and the entity has none."""
        values = self._cut(self.days.get(metric), span)
        if metric not in STOCKS:
            rows = self._cut(self.rows.astype(float), span) > 0
            there = coverage.covered(self.entity_type, span)
            values = np.where(~rows & there, 0.0, values)
        return values[:, ::-1]

    def newest(self, span: Span, metric: str) -> Floats:
        """The entity's newest rows of a window of rows, oldest first."""
        found = np.full((len(self.ids), span.days), np.nan)
        values = self.days.get(metric)
        if values is not None and self.rows.size:
            places = np.cumsum(self.rows, axis=1)
            for entity, ago in zip(
                *np.nonzero(self.rows & (places >= span.first) & (places <= span.last)), strict=True
            ):
                found[entity, span.last - places[entity, ago]] = values[entity, ago]
        return found

    def newest_count(self, span: Span) -> NDArray[np.int64]:
        """How many rows of a window of rows the entity has."""
        found: NDArray[np.int64] = np.clip(self.rows.sum(axis=1) - span.first + 1, 0, span.days)
        return found

    def monthly(self, span: Span, metric: str) -> Floats:
        """Single months of a window, oldest first."""
        return self._cut(self.months.get(metric), span)[:, ::-1]

    def label(self, name: str) -> NDArray[np.object_]:
        """A label of each; None where it has none. `entity_id` is the id itself."""
        if name == "entity_id":
            return self.ids
        return self.labels.get(name, np.full(len(self.ids), None, dtype=object))

    @property
    def is_one(self) -> NDArray[np.bool_]:
        """False of what is many: those too small to be judged, and those that Google Analytics folded into one."""
        one: NDArray[np.bool_] = np.array([FOLDED not in (name or "") for name in self.ids], dtype=bool)
        return one & ~self.is_rest

    @property
    def oldest(self) -> Floats:
        """How many days back the entity was first seen, as far as it was read."""
        return self.numbers.get("oldest", np.full(len(self.ids), np.nan))

    def _cut(self, values: Floats | None, span: Span) -> Floats:
        found = np.full((len(self.ids), span.days), np.nan)
        if values is not None:
            have = values[:, span.first : span.last + 1]
            found[:, : have.shape[1]] = have
        return found


@dataclass(frozen=True)
class _Piece:
    """The rows that one statement has of one entity type."""

    name: str
    ids: NDArray[np.object_]
    numbers: Columns
    labels: Columns
    present: Mapping[int, NDArray[np.int64]]
    ago: Ragged | None
    lists: Mapping[str, NDArray[np.float64]]


def gathered(
    coverage_of: Callable[[Any, Any], Coverage], plan: Plan, found: Mapping[str, Columns]
) -> tuple[dict[str, Entities], Coverage]:
    """What the statements yield (columns by statement), by entity type; and which days there are.

    coverage_of: makes the coverage of days and months by entity type.
    """
    pieces: dict[str, list[_Piece]] = defaultdict(list)
    for name, columns in found.items():
        if name == "months":
            families: list[tuple[str, Family | None]] = [(name, None)]
        else:
            families = [(family.name, family) for family in plan.scans[name].families]
        for family_name, family in families:
            types = columns["entity_type"]
            mine = types if family is None else np.where(columns["family"] == family_name, types, None)
            for entity_type in sorted({str(one) for one in mine if one is not None}):
                places = np.flatnonzero(mine == entity_type)
                pieces[entity_type].append(_piece(family_name, family, entity_type, columns, places))
    types_of = sorted({*plan.reads, *pieces})
    entities = {name: _entities(name, pieces.get(name, [])) for name in types_of}
    days = {name: frozenset().union(*(_days_of(piece) for piece in pieces.get(name, []))) for name in types_of}
    months = {name: _months_of(one) for name, one in entities.items()}
    return entities, coverage_of(days, months)


def _piece(name: str, family: Family | None, entity_type: str, columns: Columns, places: NDArray[np.int64]) -> _Piece:
    ids = columns["entity_id"][places]
    ago, counts, taken = _taken(columns["list_ago"], places)
    if family is None:
        lists = {key[5:]: values.values[taken] for key, values in columns.items() if _is_list(key)}
        return _Piece(name, ids, {}, {}, {}, ago, lists)
    layout, labels = family.layout, family.labels
    numbers = _square(columns["numbers"], places, len(layout))
    texts = _square(columns["labels"], places, len(labels) + 1)
    # A family's row has the columns of all its types: of those that are not asked of this one nothing was looked for.
    asked = family.columns_of(entity_type)
    known = {column: numbers[:, place] for place, column in enumerate(layout) if column in asked}
    known["oldest"] = columns["oldest"][places].astype(np.float64)
    present = {int(key[8:]): columns[key][places] for key in columns if key.startswith("present_")}
    values = columns["list_values"]
    starts = np.repeat(values.offsets[places], counts) + _within(counts)
    lists = {
        metric: values.values[starts + place * np.repeat(counts, counts)]
        for place, metric in enumerate(family.listed_of(entity_type))
    }
    return _Piece(name, ids, known, {one: texts[:, 1 + at] for at, one in enumerate(labels)}, present, ago, lists)


def _is_list(column: str) -> bool:
    return column.startswith("list_") and column != "list_ago"


def _taken(lists: Ragged, places: NDArray[np.int64]) -> tuple[Ragged, NDArray[np.int64], NDArray[np.int64]]:
    """The lists of some rows alone, their lengths, and where their values are."""
    counts = lists.offsets[places + 1] - lists.offsets[places]
    at = np.repeat(lists.offsets[places], counts) + _within(counts)
    return Ragged(lists.values[at], np.concatenate([[0], np.cumsum(counts)])), counts, at


def _within(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """0, 1, 2, ... anew for each list."""
    starts = np.repeat(np.cumsum(counts) - counts, counts)
    found: NDArray[np.int64] = np.arange(int(counts.sum())) - starts
    return found


def _square(lists: Ragged, places: NDArray[np.int64], width: int) -> NDArray[Any]:
    """Lists of one length as rows."""
    found: NDArray[Any] = lists.values[lists.offsets[places][:, None] + np.arange(width)]
    return found


def _entities(entity_type: str, pieces: list[_Piece]) -> Entities:
    keys = {(one is None, one or "") for piece in pieces for one in piece.ids}
    ordered = sorted(keys)
    place_of = {key: place for place, key in enumerate(ordered)}
    ids = np.array([None if is_rest else one for is_rest, one in ordered], dtype=object)
    found = Entities(entity_type, ids, np.array([is_rest for is_rest, _ in ordered], dtype=bool))
    found.rows = np.zeros((len(ids), 0), dtype=bool)
    for piece in pieces:
        at = np.array([place_of[one is None, one or ""] for one in piece.ids], dtype=np.int64)
        for label, texts in piece.labels.items():
            own = found.labels.setdefault(label, np.full(len(ids), None, dtype=object))
            known = texts != ""
            own[at[known]] = texts[known]
        for column, values in piece.numbers.items():
            if column == "oldest" and piece.name == "year":
                continue
            absent = 0.0 if column.startswith("seen_") else np.nan
            found.numbers.setdefault(column, np.full(len(ids), absent))[at] = values
        if piece.name != "year":
            _list(found, piece, at)
    return found


def _list(found: Entities, piece: _Piece, at: NDArray[np.int64]) -> None:
    """Lists of (ago, value) as one row an entity and one column a day (a month)."""
    if piece.ago is None or not piece.ago.values.size:
        return
    entity, ago = np.repeat(at, np.diff(piece.ago.offsets)), piece.ago.values.astype(np.int64)
    into = found.months if piece.name == "months" else found.days
    width = int(ago.max()) + 1
    for metric, values in piece.lists.items():
        dense = np.full((len(found.ids), width), np.nan)
        dense[entity, ago] = values
        if metric not in into or into[metric].shape[1] < width:
            into[metric] = dense
    if piece.name != "months":
        rows = np.zeros((len(found.ids), max(width, found.rows.shape[1])), dtype=bool)
        rows[:, : found.rows.shape[1]] = found.rows
        rows[entity, ago] = True
        found.rows = rows


def _days_of(piece: _Piece) -> set[int]:
    """The days on which any of the rows is, from the bitmaps of sixty days each."""
    found: set[int] = set()
    for block, values in piece.present.items():
        bits = int(np.bitwise_or.reduce(values.astype(np.int64))) if len(values) else 0
        found |= {block * BLOCK_DAYS + day for day in range(BLOCK_DAYS) if bits >> day & 1}
    return found


def _months_of(entities: Entities) -> frozenset[int]:
    known = entities.months.get("days")
    return frozenset() if known is None else frozenset(np.flatnonzero((~np.isnan(known)).any(axis=0)).tolist())
