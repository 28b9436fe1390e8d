"""Which days have data, by entity type: what can be judged, and how days of the two windows match by weekday."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from shared.detectors.compiler import Plan, Window
from shared.detectors.declaration import Detector, Span
from shared.detectors.metrics import SITE_PARTS, SPARSE

LEAST_SITE_COVER = 0.9
"""`property` rows are the site where they cover this share of the days that the entity type covers."""


@dataclass(frozen=True)
class Coverage:
    """Days before `as_of` that have rows, by entity type; `read` are the types that the catalogue reads."""

    as_of: date
    days: Mapping[str, frozenset[int]]
    read: frozenset[str]

    @classmethod
    def of(cls, as_of: date, plan: Plan, rows: Iterable[Mapping[str, Any]]) -> "Coverage":
        """From the rows of coverage.sql."""
        found = {str(row["entity_type"]): frozenset(int(day) for day in row["days"]) for row in rows}
        any_type: frozenset[int] = frozenset().union(*found.values())
        days = {name: any_type if name in SPARSE else own for name, own in found.items()}
        return cls(as_of, days, frozenset(plan.windows))

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
        parts = [name for name in SITE_PARTS if name in self.read]
        best = max(("property", *parts), key=lambda name: len(self.days.get(name, ())))
        return "property" if self._property_covers(best) else best

    def is_own_site(self, entity_type: str) -> bool:
        """True where the entities of a type add up to the site, and nothing else tells the site's figures."""
        return entity_type in SITE_PARTS and not self._property_covers(entity_type)

    def weekdays(self, entity_type: str, span: Span) -> NDArray[np.float64]:
        """How many days of each weekday have data in the window; Sunday first, as BigQuery's DAYOFWEEK."""
        counts = np.zeros(7)
        for ago in self.days.get(entity_type, ()):
            if span.holds(ago):
                counts[(self.as_of - timedelta(days=ago)).isoweekday() % 7] += 1
        return counts

    def weights(self, entity_type: str, window: Window) -> NDArray[np.float64]:
        """Current days over base days of each weekday; of all days where a current weekday has none in the base."""
        if window.expects is None:
            return np.zeros(7)
        base, cur = self.weekdays(entity_type, window.span), self.weekdays(entity_type, window.expects)
        if np.any((cur > 0) & (base == 0)):
            return np.full(7, cur.sum() / base.sum() if base.sum() else 0.0)
        return np.divide(cur, base, out=np.zeros(7), where=base > 0)

    def spans(self, plan: Plan) -> str:
        """The @spans parameter: which windows of which entity types are summed."""
        return orjson.dumps(
            [
                {
                    "entity_type": entity_type,
                    "span": key,
                    "first": window.span.first,
                    "last": window.span.last,
                    "by_date": int(window.by_date),
                }
                for entity_type, windows in sorted(plan.read(self.site_type).items())
                for key, window in sorted(windows.items())
            ]
        ).decode()

    def calendar(self, plan: Plan) -> str:
        """The @calendar parameter: for each window and weekday the days that have data, and their weight."""
        rows = []
        for entity_type, windows in sorted(plan.read(self.site_type).items()):
            for key, window in sorted(windows.items()):
                days, weights = self.weekdays(entity_type, window.span), self.weights(entity_type, window)
                for index in range(7):
                    rows.append(
                        {
                            "entity_type": entity_type,
                            "span": key,
                            "weekday": index + 1,
                            "days": days[index],
                            "weight": weights[index],
                            "by_weekday": int(window.by_weekday),
                        }
                    )
        return orjson.dumps(rows, option=orjson.OPT_SERIALIZE_NUMPY).decode()

    def _property_covers(self, entity_type: str) -> bool:
        have = self.days.get(entity_type, frozenset())
        return len(have & self.days.get("property", frozenset())) >= LEAST_SITE_COVER * max(len(have), 1)
