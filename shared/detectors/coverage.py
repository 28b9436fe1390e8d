"""Which days have data, by entity type: what can be judged, and how days of the two windows match by weekday."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import orjson

from shared.detectors.compiler import Plan
from shared.detectors.declaration import Detector, Span
from shared.detectors.metrics import SITE_PARTS, SPARSE

LEAST_SITE_COVER = 0.9
"""`property` rows are the site where they cover this share of the days that the entity type covers."""


@dataclass(frozen=True)
class Coverage:
    """Days before `as_of` that have rows, by entity type."""

    as_of: date
    days: Mapping[str, frozenset[int]]

    @classmethod
    def of(cls, as_of: date, rows: Iterable[Mapping[str, Any]]) -> "Coverage":
        """From the rows of coverage.sql."""
        found = {str(row["entity_type"]): frozenset(int(day) for day in row["days"]) for row in rows}
        any_type = frozenset().union(*found.values())
        return cls(as_of, {name: any_type if name in SPARSE else days for name, days in found.items()})

    def count(self, entity_type: str, span: Span) -> int:
        """How many days of the window have data."""
        return sum(1 for day in self.days.get(entity_type, ()) if span.holds(day))

    def dates(self, span: Span) -> dict[str, Any]:
        """The window in dates."""
        return {
            "first": (self.as_of - timedelta(days=span.last)).isoformat(),
            "last": (self.as_of - timedelta(days=span.first)).isoformat(),
            "days": span.days,
        }

    def lacking(self, detector: Detector) -> str | None:
        """Why the detector cannot judge for want of data; None where it can."""
        for entity_type in sorted({detector.rows_of, *(part.entity_type for part in detector.parts.values())}):
            for name, window in detector.windows.items():
                span = detector.span(name)
                have = self.count(entity_type, span)
                if not window.optional and have < window.least_covered * span.days:
                    return f"no data: {entity_type} has rows on {have} of the {span.days} days of window {name}"
        return None

    @property
    def site_type(self) -> str:
        """The entity type whose sum is the site for those that are no part of it."""
        best = max(("property", *SITE_PARTS), key=lambda name: len(self.days.get(name, ())))
        return "property" if self._property_covers(best) else best

    def calendar(self, plan: Plan) -> str:
        """The @calendar parameter: for each entity type and weekday the days of each window, and their weights."""
        rows = [row for entity_type in sorted(self.days) for row in self._weekdays(plan, entity_type)]
        return orjson.dumps(rows).decode()

    def _weekdays(self, plan: Plan, entity_type: str) -> Iterable[dict[str, Any]]:
        have = self.days[entity_type]
        counts = {
            key: Counter(self._weekday(day) for day in have if span.holds(day)) for key, span in plan.spans.items()
        }
        own_site = entity_type in SITE_PARTS and not self._property_covers(entity_type)
        for weekday in range(1, 8):
            row: dict[str, Any] = {"entity_type": entity_type, "weekday": weekday, "own_site": int(own_site)}
            for key, count in counts.items():
                row[f"n_{key}"] = count[weekday]
                row[f"days_{key}"] = count.total()
            for name, (cur, base) in plan.weights.items():
                row[name] = _weight(counts[cur.key], counts[base.key], weekday)
            yield row

    def _property_covers(self, entity_type: str) -> bool:
        have = self.days.get(entity_type, frozenset())
        return len(have & self.days.get("property", frozenset())) >= LEAST_SITE_COVER * max(len(have), 1)

    def _weekday(self, ago: int) -> int:
        # As BigQuery's EXTRACT(DAYOFWEEK): Sunday is 1.
        return (self.as_of - timedelta(days=ago)).isoweekday() % 7 + 1


def _weight(cur: Counter[int], base: Counter[int], weekday: int) -> float:
    """Current days over base days of a weekday; of all days where a current weekday has no day in the base."""
    if all(base[day] for day, count in cur.items() if count):
        return cur[weekday] / base[weekday] if base[weekday] else 0.0
    return cur.total() / base.total() if base.total() else 0.0
