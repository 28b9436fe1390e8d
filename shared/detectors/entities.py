"""What the statements yield, as arrays: sums of windows, single days and months of each entity."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.analytics.attributes import ATTRIBUTES
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
BLOCK_DAYS = 60


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
        seen = self.numbers[f"seen_{span.key}"]
        values = np.where(self.numbers[f"days_{span.key}_{metric}"] == seen, found, np.nan)
        if self.entity_type in SPARSE or not np.all(np.isnan(values)):
            values = np.where(seen > 0, values, 0.0)
        return values

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

    def monthly(self, span: Span, metric: str) -> Floats:
        """Single months of a window, oldest first."""
        return self._cut(self.months.get(metric), span)[:, ::-1]

    def label(self, name: str) -> NDArray[np.object_]:
        """A label of each; None where it has none. `entity_id` is the id itself."""
        if name == "entity_id":
            return self.ids
        return self.labels.get(name, np.full(len(self.ids), None, dtype=object))

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


@dataclass
class Gathered:
    """The rows of all statements, by entity type."""

    types: dict[str, Entities]
    coverage: Coverage


def gathered(coverage_of: Any, scans: Mapping[str, Columns], months: Columns | None, reads: frozenset[str]) -> Gathered:
    """Rows of the statements put together; `coverage_of(days, months)` makes the coverage."""
    pieces: dict[str, list[tuple[str, Columns, NDArray[np.int64]]]] = defaultdict(list)
    for name, columns in [*scans.items(), *([("months", months)] if months is not None else [])]:
        types = columns["entity_type"]
        for entity_type in sorted(set(types)):
            pieces[entity_type].append((name, columns, np.flatnonzero(types == entity_type)))
    days, covered_months, found = {}, {}, {}
    for entity_type in sorted({*reads, *pieces}):
        own = pieces.get(entity_type, [])
        entities = _entities(entity_type, own)
        found[entity_type] = entities
        days[entity_type] = frozenset().union(*(_present(columns, places) for name, columns, places in own))
        known = entities.months.get("days")
        covered_months[entity_type] = (
            frozenset(np.flatnonzero((~np.isnan(known)).any(axis=0)).tolist()) if known is not None else frozenset()
        )
    return Gathered(found, coverage_of(days, covered_months))


def _entities(entity_type: str, pieces: list[tuple[str, Columns, NDArray[np.int64]]]) -> Entities:
    keys = {(one is None, one or "") for _, columns, places in pieces for one in columns["entity_id"][places]}
    ordered = sorted(keys)
    place_of = {key: place for place, key in enumerate(ordered)}
    ids = np.array([None if is_rest else one for is_rest, one in ordered], dtype=object)
    found = Entities(entity_type, ids, np.array([is_rest for is_rest, _ in ordered], dtype=bool))
    found.rows = np.zeros((len(ids), 0), dtype=bool)
    for name, columns, places in pieces:
        at = np.array([place_of[one is None, one or ""] for one in columns["entity_id"][places]], dtype=np.int64)
        for column, values in columns.items():
            if column.startswith("label_"):
                own = found.labels.setdefault(column[6:], np.full(len(ids), None, dtype=object))
                known = np.array([one is not None for one in values[places]], dtype=bool)
                own[at[known]] = values[places][known]
            elif column == "oldest" or column.startswith(("seen_", "sum_", "days_", "mean_", "max_", "min_", "last_")):
                if column == "oldest" and name == "year":
                    continue
                own_numbers = found.numbers.setdefault(column, np.full(len(ids), np.nan))
                own_numbers[at] = values[places]
        if "list_ago" in columns:
            _lists(found, name, columns, places, at)
    for column, values in found.numbers.items():
        if column.startswith(("seen_", "days_")):
            found.numbers[column] = np.nan_to_num(values)
    return found


def _lists(found: Entities, name: str, columns: Columns, places: NDArray[np.int64], at: NDArray[np.int64]) -> None:
    """Ragged lists of (ago, value) as one row an entity and one column a day (a month)."""
    agos: Ragged = columns["list_ago"]
    counts = agos.offsets[places + 1] - agos.offsets[places]
    taken = np.repeat(agos.offsets[places] - np.concatenate([[0], np.cumsum(counts)[:-1]]), counts) + np.arange(
        counts.sum()
    )
    entity, ago = np.repeat(at, counts), agos.values[taken].astype(np.int64)
    width = int(ago.max()) + 1 if ago.size else 0
    into = found.months if name == "months" else found.days
    for column, lists in columns.items():
        if column.startswith("list_") and column != "list_ago":
            dense = np.full((len(found.ids), width), np.nan)
            dense[entity, ago] = lists.values[taken]
            into[column[5:]] = dense
    if name != "months":
        rows = np.zeros((len(found.ids), max(width, found.rows.shape[1])), dtype=bool)
        rows[:, : found.rows.shape[1]] = found.rows
        rows[entity, ago] = True
        found.rows = rows


def _present(columns: Columns, places: NDArray[np.int64]) -> frozenset[int]:
    """The days on which any of the rows is, from the bitmaps of sixty days each."""
    found: set[int] = set()
    for column, values in columns.items():
        if column.startswith("present_"):
            block = int(column[8:])
            bits = int(np.bitwise_or.reduce(values[places].astype(np.int64))) if len(places) else 0
            found |= {block * BLOCK_DAYS + day for day in range(BLOCK_DAYS) if bits >> day & 1}
    return frozenset(found)
