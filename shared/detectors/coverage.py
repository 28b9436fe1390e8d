"""Which days have data, by entity type: what can be judged, and how days of the two windows match by weekday."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.detectors.declaration import Detector, Span
from shared.detectors.metrics import PERCEPTS, SITE_PARTS, SPARSE, STAND_INS

LEAST_SITE_COVER = 0.9
"""`property` rows are the site where they cover this share of the days that the entity type covers."""


@dataclass(frozen=True)
class Coverage:
    """Days (and months) before `as_of` that have rows, by entity type."""

    as_of: date
    days: Mapping[str, frozenset[int]]
    months: Mapping[str, frozenset[int]]
    left_out: frozenset[date] = frozenset()

    @classmethod
    def of(
        cls,
        as_of: date,
        days: Mapping[str, frozenset[int]],
        months: Mapping[str, frozenset[int]] | None = None,
        left_out: Iterable[date] = (),
    ) -> "Coverage":
        """From the days on which entities of each type have rows. left_out: those of events that were expected."""
        any_type: frozenset[int] = frozenset().union(*days.values())
        found = {name: any_type if name in SPARSE else own for name, own in days.items() if own}
        return cls(as_of, found, months or {}, frozenset(left_out))

    def resolved(self, span: Span) -> Span:
        """The window with the days that it has in this month."""
        return Span(first=0, last=self.as_of.day - 1, unit="mtd") if span.unit == "mtd" else span

    def count(self, entity_type: str, span: Span) -> int:
        """How many days (months) of the window have data."""
        known = self.months if span.unit == "month" else self.days
        span = self.resolved(span)
        return sum(1 for ago in known.get(entity_type, ()) if span.holds(ago))

    def dates(self, span: Span) -> dict[str, Any]:
        """The window in dates; of rows only how many."""
        span = self.resolved(span)
        if span.unit == "row":
            return {"rows": span.days, "newest": span.first}
        if span.unit == "month":
            return {"first": self._month(span.last), "last": self._month(span.first), "months": span.days}
        return {
            "first": (self.as_of - timedelta(days=span.last)).isoformat(),
            "last": (self.as_of - timedelta(days=span.first)).isoformat(),
            "days": span.days,
        }

    def lacking(self, detector: Detector) -> str | None:
        """Why the detector cannot judge for want of data; None where it can."""
        for entity_type in sorted({detector.rows_of, *detector.needed_parts}):
            for name, window in detector.windows.items():
                span = self.resolved(detector.span(name))
                if window.optional or (entity_type != detector.rows_of and span.unit == "month"):
                    continue
                if span.unit == "row":
                    if not self.days.get(entity_type):
                        return f"no data: {entity_type} has no rows"
                    continue
                have, unit = self.count(entity_type, span), "months" if span.unit == "month" else "days"
                if have < window.least_covered * span.days:
                    said = f"no data: {entity_type} has rows on {have} of the {span.days} {unit} of window {name}"
                    return said + self._but_for_events(entity_type, span)
        return None

    @property
    def site_type(self) -> str:
        """The entity type whose sum is the site for those that are no part of it."""
        best = max(("property", *STAND_INS), key=lambda name: len(self.days.get(name, ())))
        return "property" if self._property_covers(best) else best

    def is_own_site(self, entity_type: str) -> bool:
        """True where the entities of a type add up to the site, and nothing else tells the site's figures."""
        return entity_type in SITE_PARTS and not self._property_covers(entity_type)

    def covered(self, entity_type: str, span: Span) -> NDArray[np.bool_]:
        """Which days of the window have data, newest first."""
        days = self.days.get(entity_type, frozenset())
        return np.array([ago in days for ago in range(span.first, span.last + 1)], dtype=bool)

    def weekdays(self, span: Span) -> NDArray[np.int64]:
        """The weekday of each day of the window, newest first; Sunday is 0."""
        return np.array(
            [(self.as_of - timedelta(days=ago)).isoweekday() % 7 for ago in range(span.first, span.last + 1)]
        )

    def weights(self, entity_type: str, base: Span, cur: Span) -> NDArray[np.float64]:
        """What each day of the base counts in what it lets expect of the current window.

        Current days over base days of each weekday; of all days where a current weekday has none in the base.
        """
        in_base, in_cur = self.covered(entity_type, base), self.covered(entity_type, cur)
        of_base = np.bincount(self.weekdays(base)[in_base], minlength=7).astype(float)
        of_cur = np.bincount(self.weekdays(cur)[in_cur], minlength=7).astype(float)
        if np.any((of_cur > 0) & (of_base == 0)):
            weights = np.full(7, of_cur.sum() / of_base.sum() if of_base.sum() else 0.0)
        else:
            weights = np.divide(of_cur, of_base, out=np.zeros(7), where=of_base > 0)
        found: NDArray[np.float64] = weights[self.weekdays(base)] * in_base
        return found

    def _but_for_events(self, entity_type: str, span: Span) -> str:
        """How many of a window's days are missing because the tenant expected something on them."""
        held = [day for day in self.left_out if span.in_days and span.holds((self.as_of - day).days)]
        return f"; {len(held)} are left out for expected events" if held and entity_type not in PERCEPTS else ""

    def _month(self, ago: int) -> str:
        index = self.as_of.year * 12 + self.as_of.month - 1 - ago
        return f"{index // 12:04d}-{index % 12 + 1:02d}"

    def _property_covers(self, entity_type: str) -> bool:
        have = self.days.get(entity_type, frozenset())
        return len(have & self.days.get("property", frozenset())) >= LEAST_SITE_COVER * max(len(have), 1)
