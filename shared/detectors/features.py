"""The sums of a scan as arrays, and the names of declarations resolved to them: one value an entity, NULL is NaN."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from shared.detectors import expression
from shared.detectors.compiler import VALUE, Plan, Window, base_window, history, weeks
from shared.detectors.coverage import Coverage
from shared.detectors.declaration import Detector, Peers, feature
from shared.detectors.metrics import SPARSE

Floats = NDArray[np.float64]
LEAST_CONVERSIONS = 10
"""With fewer conversions in 90 days an entity's own value per conversion is noise: the next larger's is taken."""


@dataclass
class Entities:
    """The entities of one type: numbers by window, shaped (entity, statistic)."""

    plan: Plan
    entity_type: str
    ids: NDArray[np.object_]
    kin: NDArray[np.object_]
    numbers: Mapping[str, Floats]
    details: list[dict[str, tuple[list[list[float | None]], list[int]]]]

    @classmethod
    def of(cls, plan: Plan, entity_type: str, windows: Iterable[str], rows: list[Mapping[str, Any]]) -> "Entities":
        """From the rows of features.sql, of this type only; ordered by id, so that a rerun is the same."""
        rows = sorted(rows, key=lambda row: str(row["entity_id"]))
        width = len(plan.layout)
        numbers = {key: np.full((len(rows), width), np.nan) for key in windows}
        details: list[dict[str, tuple[list[list[float | None]], list[int]]]] = []
        for index, row in enumerate(rows):
            details.append({})
            for key, values, by_weekday, dates in orjson.loads(row["numbers"]):
                numbers[key][index] = values
                if by_weekday or dates:
                    details[index][key] = (by_weekday, dates)
        ids = np.array([str(row["entity_id"]) for row in rows], dtype=object)
        kin = np.array([row["kin"] for row in rows], dtype=object)
        return cls(plan, entity_type, ids, kin, numbers, details)

    def raw(self, window: str, statistic: str) -> Floats:
        """A statistic as it was summed; NaN where there was no row or no value."""
        found: Floats = self.numbers[window][:, self._column[statistic]]
        return found

    def value(self, window: str, statistic: str, metric: str) -> Floats:
        """A statistic of a metric: NaN where it is not measured on each day that has a row, 0 where no row is."""
        seen = self.raw(window, "seen")
        measured = self.raw(window, f"days_{metric}") == seen
        values = np.where(measured, self.raw(window, f"{statistic}_{metric}"), np.nan)
        if self.entity_type in SPARSE or not np.all(np.isnan(values)):
            values = np.where(np.isnan(seen), 0.0, values)
        return values

    def templates(self) -> NDArray[np.object_]:
        """The template of each page: declared, or the first segment of its path."""
        return np.array(
            [
                kin or "/" + page.lstrip("/").split("/")[0].split("?")[0]
                for kin, page in zip(self.kin, self.ids, strict=True)
            ],
            dtype=object,
        )

    @cached_property
    def _column(self) -> dict[str, int]:
        return {name: index for index, name in enumerate(self.plan.layout)}


class Table:
    """All entities of a scan."""

    def __init__(
        self, plan: Plan, coverage: Coverage, rows: Iterable[Mapping[str, Any]], own_value: float | None
    ) -> None:
        self.plan = plan
        self.coverage = coverage
        self.own_value = own_value
        windows = plan.read(coverage.site_type)
        by_type: dict[str, list[Mapping[str, Any]]] = {name: [] for name in windows}
        for row in rows:
            by_type[str(row["entity_type"])].append(row)
        self.types = {name: Entities.of(plan, name, windows[name], found) for name, found in by_type.items()}

    @property
    def property_id(self) -> str:
        """The property's id; `site` where no property has rows."""
        ids = self.types["property"].ids
        return str(ids[0]) if len(ids) else "site"

    def site(self, entity_type: str, window: str, statistic: str, metric: str) -> float:
        """The site's figure, as entities of a type see it; NaN where nobody measures it."""
        first = entity_type if self.coverage.is_own_site(entity_type) else self.coverage.site_type
        for name in (first, entity_type):
            entities = self.types[name]
            if len(entities.ids) and window in entities.numbers:
                values = entities.value(window, statistic, metric)
                if not np.all(np.isnan(values)):
                    return float(np.nansum(values))
        return float("nan")

    def money(self, entity_type: str) -> tuple[Floats, NDArray[np.object_]]:
        """Value per conversion of each entity, and whose it is: tenant, entity, channel, site or None."""
        entities = self.types[entity_type]
        value, source = np.full(len(entities.ids), np.nan), np.full(len(entities.ids), None, dtype=object)
        if self.own_value is not None:
            return np.full(len(entities.ids), self.own_value), np.full(len(entities.ids), "tenant", dtype=object)
        revenue, conversions = self._earned(entity_type)
        site_revenue, site_conversions = (self.site_earned(entity_type, name) for name in ("revenue", "conversions"))
        if site_revenue > 0 and site_conversions > 0:
            value[:], source[:] = site_revenue / site_conversions, "site"
        channels = self.types.get("channel")
        of_channel: dict[str, tuple[float, float]] = {}
        if channels is not None:
            of_channel = dict(zip(channels.ids, zip(*self._earned("channel"), strict=True), strict=True))
        for index, kin in enumerate(entities.kin):
            earned = of_channel.get(kin) if entity_type == "source_medium" else None
            if earned is not None and earned[0] > 0 and earned[1] >= LEAST_CONVERSIONS:
                value[index], source[index] = earned[0] / earned[1], "channel"
        own = (revenue > 0) & (conversions >= LEAST_CONVERSIONS)
        value[own], source[own] = revenue[own] / conversions[own], "entity"
        return value, source

    def site_earned(self, entity_type: str, metric: str) -> float:
        """The site's revenue or conversions of 90 days, on days that measure both."""
        first = entity_type if self.coverage.is_own_site(entity_type) else self.coverage.site_type
        for name in (first, entity_type):
            earned = self.types[name].raw(VALUE.key, f"value_{metric}")
            if not np.all(np.isnan(earned)):
                return float(np.nansum(earned))
        return float("nan")

    def _earned(self, entity_type: str) -> tuple[Floats, Floats]:
        entities = self.types[entity_type]
        return entities.raw(VALUE.key, "value_revenue"), entities.raw(VALUE.key, "value_conversions")


class Names:
    """The names of one declaration over one table; each is worked out once."""

    def __init__(self, detector: Detector, table: Table) -> None:
        self.detector = detector
        self.table = table
        self.entities = table.types[detector.rows_of]
        self.known: dict[str, Any] = {}
        self._open: list[str] = []

    def of(self, text: str) -> Any:
        """An expression, an array with one value an entity."""
        value = expression.evaluate(text, self.name)
        return np.broadcast_to(value, (len(self.entities.ids),)) if np.ndim(value) == 0 else value

    def name(self, name: str) -> Any:
        """A name's array or number."""
        if name in self._open:
            raise expression.ExpressionError(f"{self.detector.id}: {name} is defined by itself")
        if name not in self.known:
            self._open.append(name)
            self.known[name] = self._worked_out(name)
            self._open.pop()
        return self.known[name]

    def same_side(self, index: int) -> float | None:
        """Share of an entity's weekdays on which the declared comparison holds; None where none is comparable."""
        if self.detector.same_side is None:
            return None
        sides = expression.evaluate(self.detector.same_side, lambda name: self._by_weekday(name, index))
        compared = ~np.isnan(sides)
        return float(np.nansum(sides) / compared.sum()) if compared.any() else None

    def present(self, index: int) -> list[int] | None:
        """The days (before `as_of`) that a `dates_with` feature of the entity counts; None where there is none."""
        for window, (_, dates) in self.entities.details[index].items():
            if dates and window == self.detector.span("cur").key:
                return dates
        return None

    def _worked_out(self, name: str) -> Any:
        detector = self.detector
        if name in detector.thresholds:
            return detector.thresholds[name]
        if name in detector.measures:
            return self.of(detector.measures[name])
        if name in detector.rates:
            return self._rate(name)
        if name in detector.peers:
            return self._peers(detector.peers[name])
        if name == "entity_id":
            return self.entities.ids
        if name == "age_days":
            return self.entities.raw(VALUE.key, "oldest") + 1
        if name == "history_days":
            return float(self.table.coverage.count(detector.rows_of, history(detector)))
        if name == "value_per_conversion":
            return self.table.money(detector.rows_of)[0]
        if name == "site_monthly_revenue":
            days = max(self.table.coverage.count(self.table.coverage.site_type, VALUE), 1)
            return self.table.site_earned(detector.rows_of, "revenue") * 30 / days
        return self._feature(name)

    def _rate(self, name: str) -> Floats:
        rate = self.detector.rates[name]
        of, per = np.asarray(self.of(rate.of), dtype=np.float64), np.asarray(self.of(rate.per), dtype=np.float64)
        ratio = np.divide(of, per, out=np.full(of.shape, np.nan), where=(per != 0) & ~np.isnan(per))
        if rate.needs is not None:
            ratio = np.where(expression.true(self.of(rate.needs)), ratio, np.nan)
        return ratio if rate.otherwise is None else np.where(np.isnan(ratio), rate.otherwise, ratio)

    def _peers(self, peers: Peers) -> Floats:
        values = np.where(expression.true(self.of(peers.among)), self.of(peers.of), np.nan)
        groups = self.entities.templates() if peers.over == "page_template" else np.zeros(len(values), dtype=object)
        found = np.full(values.shape, np.nan)
        for group in set(groups):
            mine = groups == group
            known = values[mine & ~np.isnan(values)]
            if known.size >= peers.at_least:
                found[mine] = np.quantile(known, peers.quantile)
        return found

    def _feature(self, name: str) -> Any:
        found = feature(self.detector, name)
        if found is None:
            raise expression.ExpressionError(f"{self.detector.id}: unknown name {name!r}")
        scope, kind, window, metric = found
        span = self.detector.span(window)
        if kind == "days":
            return float(self.table.coverage.count(self.detector.rows_of, span))
        if kind == "phi":
            return self._phi(metric)
        if kind in ("days_with", "log", "log2"):
            return self.entities.value(span.key, "above" if kind == "days_with" else kind, metric)
        if kind == "dates_with":
            return self.entities.value(span.key, "days", metric)
        key, statistic = (base_window(self.detector).key, "expected") if kind == "expected" else (span.key, "sum")
        if scope == "own":
            return self.entities.value(key, statistic, metric)
        if scope in ("site", "rest"):
            site = self.table.site(self.detector.rows_of, key, statistic, metric)
            return site if scope == "site" else np.maximum(site - self.entities.value(key, statistic, metric), 0)
        return self._part(scope, key, statistic, metric)

    def _part(self, name: str, key: str, statistic: str, metric: str) -> float:
        part = self.detector.parts[name]
        entities = self.table.types[part.entity_type]
        inside = expression.true(expression.evaluate(part.where, {"entity_id": entities.ids}.__getitem__))
        values = entities.value(key, statistic, metric)[np.broadcast_to(inside, entities.ids.shape)]
        return float(np.nansum(values)) if values.size and not np.all(np.isnan(values)) else float("nan")

    def _phi(self, metric: str) -> Floats:
        """Overdispersion over the eight weeks before: at least 1, by days within weekdays or by whole weeks.

        Days alone would miss that weeks drift as a whole; weeks alone are too few to be sure.
        """
        span, coverage = history(self.detector), self.table.coverage
        days = coverage.count(self.detector.rows_of, span)
        phi = np.nan_to_num(self.entities.raw(span.key, f"spread_{metric}")) / max(days - 7, 1)
        full = [week for week in weeks(span) if coverage.count(self.detector.rows_of, week) == week.days]
        if len(full) > 1:
            sums = np.stack([np.nan_to_num(self.entities.raw(week.key, f"sum_{metric}")) for week in full])
            mean = sums.mean(axis=0)
            weekly = np.divide(sums.var(axis=0, ddof=1), mean, out=np.ones_like(mean), where=mean > 0)
            phi = np.maximum(phi, weekly)
        return np.maximum(phi, 1.0)

    def _by_weekday(self, name: str, index: int) -> Any:
        found = feature(self.detector, name)
        if found is None or found[0] != "own" or found[1] not in ("sum", "expected"):
            raise expression.ExpressionError(
                f"{self.detector.id}: same_side compares the entity's own sums, not {name}"
            )
        _, kind, window, metric = found
        asked = base_window(self.detector) if kind == "expected" else Window(self.detector.span(window))
        covered = self.table.coverage.weekdays(self.detector.rows_of, asked.span)
        values = np.where(covered > 0, 0.0, np.nan)
        column = 1 + list(self.table.plan.metrics).index(metric)
        for row in self.entities.details[index].get(asked.key, ([], []))[0]:
            values[int(row[0] or 1) - 1] = np.nan if row[column] is None else row[column]
        if kind == "expected":
            values = values * self.table.coverage.weights(self.detector.rows_of, asked)
        return values
