"""Compiles the catalogue into two statements: one says which days have data, one sums every window of every entity.

The text of the statements grows with the metrics that are read, not with detectors or windows: windows come in as
parameters, and conditions are evaluated on the sums (features.py). Nothing of a run is in the text.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache

from shared.detectors import expression
from shared.detectors.catalogue import catalogue
from shared.detectors.declaration import Detector, Span, feature
from shared.detectors.expression import ExpressionError
from shared.detectors.metrics import METRICS
from shared.schema.sql import render

HISTORY_DAYS = 56
"""Dispersion is estimated on the eight weeks before the current window."""
VALUE = Span(first=0, last=89)
"""The value of a conversion and the site's revenue are those of 90 days."""
STATISTICS = ("sum", "days", "expected", "spread", "log", "log2", "above")
"""Of a metric in a window: sum; days measured; what it lets expect of the current window; chi-square of days within
weekdays; sums of ln(x + 1) and of its square; days above 0."""
VALUE_METRICS = ("revenue", "conversions")


@dataclass(frozen=True)
class Window:
    """A window as the statement sums it; `expects` is the window that its weekdays are weighted for."""

    span: Span
    expects: Span | None = None
    by_weekday: bool = False
    by_date: bool = False

    @property
    def key(self) -> str:
        """How the statement calls it."""
        return f"{self.span.key}_for_{self.expects.key}" if self.expects else self.span.key


@dataclass(frozen=True)
class Plan:
    """A compiled catalogue. The statements need a tenant's table: `features(table)`, `coverage(table)`.

    windows: by entity type and key. of_site: those whose figures of the site are asked for; they are summed for the
    one entity type that tells the site's figures in a run.
    """

    detectors: tuple[Detector, ...]
    windows: Mapping[str, Mapping[str, Window]]
    of_site: Mapping[str, Window]
    metrics: Mapping[str, tuple[str, ...]]
    ranges: Mapping[str, Span]
    dates_of: str | None = None

    def features(self, table: str) -> str:
        """The statement that sums: a row for each entity."""
        return render(
            "detectors/features.sql",
            table=table,
            ranges=list(self.ranges),
            metrics=[(name, METRICS[name], statistics) for name, statistics in self.metrics.items()],
            dates_of=self.dates_of,
            entity_types=", ".join(f"'{name}'" for name in sorted(self.windows)),
        )

    def coverage(self, table: str) -> str:
        """The statement that says which days have data, by entity type."""
        return render("detectors/coverage.sql", table=table, ranges=list(self.ranges))

    def read(self, site_type: str) -> dict[str, dict[str, Window]]:
        """The windows that a run sums, by entity type."""
        found = {entity_type: dict(windows) for entity_type, windows in self.windows.items()}
        own = found.setdefault(site_type, {})
        for key, window in self.of_site.items():
            own.setdefault(key, Window(window.span, window.expects))
        return found

    @property
    def layout(self) -> list[str]:
        """What the numbers of a window are, in order."""
        return [
            "seen",
            "oldest",
            *(f"value_{name}" for name in VALUE_METRICS),
            *(f"{statistic}_{name}" for name, kinds in self.metrics.items() for statistic in kinds),
        ]

    def date_names(self) -> list[str]:
        """The names of the parameters that prune partitions."""
        return [f"{name}_{end}" for name in self.ranges for end in ("first", "last")]

    def dates(self, as_of: date) -> dict[str, date]:
        """The parameters that prune partitions."""
        found = {}
        for name, span in self.ranges.items():
            found[f"{name}_first"] = as_of - timedelta(days=span.last)
            found[f"{name}_last"] = as_of - timedelta(days=span.first)
        return found


@cache
def plan() -> Plan:
    """The plan of the whole catalogue."""
    return compiled(catalogue())


def compiled(detectors: tuple[Detector, ...]) -> Plan:
    """The plan of these detectors."""
    needs = _Needs()
    for detector in detectors:
        needs.read(detector)
    needs.windows.setdefault("property", {})
    ranges = _ranges(window.span for windows in needs.windows.values() for window in windows.values())
    metrics = {
        name: tuple(statistic for statistic in STATISTICS if statistic in kinds)
        for name, kinds in needs.metrics.items()
    }
    if len(needs.dates_of) > 1:
        raise ExpressionError(f"dates_with is asked of {', '.join(sorted(needs.dates_of))}: one metric may have it")
    return Plan(detectors, needs.windows, needs.of_site, metrics, ranges, next(iter(needs.dates_of), None))


def history(detector: Detector) -> Span:
    """The eight weeks before the detector's current window."""
    first = detector.span("cur").last + 1
    return Span(first=first, last=first + HISTORY_DAYS - 1)


def weeks(span: Span) -> list[Span]:
    """The weeks of a span."""
    return [Span(first=first, last=first + 6) for first in range(span.first, span.last, 7)]


def base_window(detector: Detector) -> Window:
    """The base, weighted for the current window."""
    return Window(detector.span("base"), detector.span("cur"))


class _Needs:
    """What the detectors ask of the scan."""

    def __init__(self) -> None:
        self.windows: dict[str, dict[str, Window]] = {}
        self.of_site: dict[str, Window] = {VALUE.key: Window(VALUE)}
        self.dates_of: set[str] = set()
        self.metrics: dict[str, set[str]] = {name: {"sum"} for name in VALUE_METRICS}

    def read(self, detector: Detector) -> None:
        """Add what one detector needs."""
        types = {detector.rows_of, *(part.entity_type for part in detector.parts.values())}
        for entity_type in types:
            self._add(entity_type, Window(VALUE))
        for field, text in detector.expressions().items():
            for name in expression.names(text):
                found = feature(detector, name)
                if found is not None:
                    scope, kind, window, metric = found
                    asked = self._feature(detector, types, kind, window, metric, by_weekday=field == "same_side")
                    if scope in ("site", "rest"):
                        self.of_site |= {each.key: each for each in asked}

    def _feature(
        self, detector: Detector, types: set[str], kind: str, window: str, metric: str, by_weekday: bool
    ) -> list[Window]:
        span = detector.span(window)
        asked = [Window(span, by_weekday=by_weekday, by_date=kind == "dates_with")]
        statistics = {"sum", "days"}
        if kind == "expected":
            asked = [Window(detector.span("base"), span, by_weekday)]
            statistics |= {"expected"}
        elif kind == "phi":
            asked = [Window(each) for each in (history(detector), *weeks(history(detector)))]
            statistics |= {"spread"}
        elif kind in ("log", "log2"):
            statistics |= {kind}
        elif kind == "days_with":
            statistics |= {"above"}
        elif kind == "dates_with":
            self.dates_of.add(metric)
        for entity_type in types:
            for each in asked:
                self._add(entity_type, each)
        if metric:
            self.metrics.setdefault(metric, set()).update(statistics)
        return asked

    def _add(self, entity_type: str, window: Window) -> None:
        own = self.windows.setdefault(entity_type, {})
        known = own.get(window.key, window)
        own[window.key] = Window(
            window.span, window.expects, window.by_weekday or known.by_weekday, window.by_date or known.by_date
        )


def _ranges(spans: Iterable[Span]) -> dict[str, Span]:
    """The days to read as few ranges: what lies within a month of another is one."""
    merged: list[Span] = []
    for span in sorted(spans, key=lambda span: span.first):
        if merged and span.first <= merged[-1].last + 30:
            merged[-1] = Span(first=merged[-1].first, last=max(merged[-1].last, span.last))
        else:
            merged.append(span)
    return {f"range_{index}": span for index, span in enumerate(merged)}
