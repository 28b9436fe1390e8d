"""Compiles the catalogue into at most six statements: a pass over the days for each of four families of entities, one
over the days of a year ago, one over the monthly rollup.

A statement yields a row for each entity that some detector's guard lets pass, and one row that sums up the others of
its kind. Its text grows with metrics and windows, not with detectors: conditions are evaluated on the sums (names.py).
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cache, cached_property
from typing import Any

from shared.detectors import expression
from shared.detectors.catalogue import catalogue
from shared.detectors.declaration import LISTED, SUMMED, Detector, Feature, Span, feature
from shared.detectors.metrics import METRICS, PERCEPTS, SITE_PARTS, STAND_INS
from shared.schema.sql import render

HISTORY_DAYS = 56
"""Dispersion is estimated on the eight weeks before the current window."""
VALUE = Span(first=0, last=89)
"""The value of a conversion and the site's revenue are those of 90 days."""
CLICK_CURVE = Span(first=0, last=27)
"""The site's clicks by position are fitted on four weeks of its keywords."""
ROWS_DAYS = 182
"""How far back the newest rows of an entity (an e-mail's sends) are looked for."""
VALUE_METRICS = ("value_revenue", "value_conversions")
CURVE_METRICS = ("impressions", "clicks", "position_impressions")
Bounds = tuple[tuple[Span, str, float], ...]
Parameters = dict[str, Any]


@dataclass
class _Asked:
    """What is asked of one entity type in one statement."""

    sums: set[tuple[str, Span, str]] = field(default_factory=set)
    listed: dict[str, int] = field(default_factory=dict)
    labels: set[str] = field(default_factory=set)
    days: list[Span] = field(default_factory=list)

    def read(self, span: Span) -> None:
        """The days that it needs."""
        self.days.append(span)


@dataclass(frozen=True)
class Scan:
    """One statement over the days."""

    name: str
    asked: Mapping[str, _Asked]
    bounds: Mapping[str, tuple[Bounds, ...]]

    def sql(self, table: str) -> str:
        """Its text; the text knows nothing of a run."""
        listed = sorted({metric for asked in self.asked.values() for metric in asked.listed})
        return render(
            "detectors/scan.sql",
            table=table,
            ranges=[{"name": name, "types": _quoted(types)} for name, (_, types) in self._ranges.items()],
            percepts=_quoted(PERCEPTS),
            labels=self.labels,
            metrics=[(name, METRICS[name]) for name in self.metrics],
            volumes=[(name, self._condition(name)) for name in sorted(self.bounds)],
            blocks=self.blocks,
            spans=self._spans(),
            listed=listed,
            is_listed=self._is_listed(),
        )

    @property
    def labels(self) -> list[str]:
        """The labels that it reads."""
        return sorted({label for asked in self.asked.values() for label in asked.labels})

    @property
    def metrics(self) -> list[str]:
        """The metrics that it reads."""
        found = {metric for asked in self.asked.values() for _, _, metric in asked.sums if metric}
        found |= {metric for asked in self.asked.values() for metric in asked.listed}
        found |= {metric for alternatives in self.bounds.values() for one in alternatives for _, metric, _ in one}
        return sorted(found)

    @property
    def blocks(self) -> list[int]:
        """Sixty days each: the bitmaps of days that have rows."""
        ends = [(span.first // 60, span.last // 60) for span, _ in self._ranges.values()]
        return sorted({block for first, last in ends for block in range(first, last + 1)})

    def ranges(self) -> dict[str, tuple[Span, list[str]]]:
        """Which days of which entity types it reads."""
        return dict(self._ranges)

    def parameters(self, as_of: date, left_out: Iterable[date]) -> Parameters:
        """Its parameters in a run."""
        found: Parameters = {"as_of": as_of, "left_out": list(left_out) or [date(1, 1, 1)]}
        for name, (span, _) in self._ranges.items():
            found[f"{name}_first"] = as_of - timedelta(days=span.last)
            found[f"{name}_last"] = as_of - timedelta(days=span.first)
        for bound, least in self._least.items():
            found[least] = bound[2]
        if any(span.unit == "mtd" for asked in self.asked.values() for _, span, _ in asked.sums):
            found["month_days"] = as_of.day
        return found

    @cached_property
    def _ranges(self) -> dict[str, tuple[Span, list[str]]]:
        by_span: dict[Span, list[str]] = defaultdict(list)
        for name, asked in sorted(self.asked.items()):
            for span in _merged(asked.days):
                by_span[span].append(name)
        ordered = sorted(by_span.items(), key=lambda one: (one[0].first, one[0].last))
        return {f"range_{index}": (span, types) for index, (span, types) in enumerate(ordered)}

    @cached_property
    def _least(self) -> dict[tuple[Span, str, float], str]:
        every = {one for alternatives in self.bounds.values() for each in alternatives for one in each}
        ordered = sorted(every, key=lambda one: (one[0].key, one[1], one[2]))
        return {one: f"least_{index}" for index, one in enumerate(ordered)}

    def _condition(self, entity_type: str) -> str:
        return " OR ".join(
            "("
            + " AND ".join(
                f"SUM(IF({_holds(one[0])}, {one[1]}, 0)) >= @{self._least[one]}"
                for one in sorted(bounds, key=lambda one: (one[0].key, one[1]))
            )
            + ")"
            for bounds in sorted(
                set(self.bounds[entity_type]), key=lambda all_: [(s.key, metric, least) for s, metric, least in all_]
            )
        )

    def _spans(self) -> list[dict[str, Any]]:
        by_span: dict[Span, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
        for asked in self.asked.values():
            for kind, span, metric in asked.sums:
                by_span[span]["sum" if kind in ("sum", "days") else kind].update([metric] if metric else [])
        return [
            {
                "key": span.key,
                "holds": _holds(span),
                "summed": sorted(kinds["sum"]),
                **{kind: sorted(kinds[kind]) for kind in SUMMED if kind not in ("sum", "days")},
            }
            for span, kinds in sorted(by_span.items(), key=lambda one: (one[0].unit, one[0].first, one[0].last))
        ]

    def _is_listed(self) -> str:
        depths: dict[int, list[str]] = defaultdict(list)
        for name, asked in sorted(self.asked.items()):
            if asked.listed:
                depths[max(asked.listed.values())].append(name)
        cases = " ".join(
            f"WHEN entity_type IN ({_quoted(types)}) THEN {depth}" for depth, types in sorted(depths.items())
        )
        return f"ago <= CASE {cases} ELSE -1 END"


@dataclass(frozen=True)
class Months:
    """The statement over the monthly rollup: which metrics of which entity types, how many months back."""

    asked: Mapping[str, tuple[str, ...]]
    last: int

    def sql(self, table: str) -> str:
        """Its text."""
        names = sorted({metric for metrics in self.asked.values() for metric in metrics})
        return render(
            "detectors/months.sql",
            table=table,
            metrics=[(name, METRICS[name]) for name in names],
            types=_quoted(sorted(self.asked)),
        )

    def parameters(self, as_of: date) -> Parameters:
        """Its parameters in a run."""
        month = as_of.replace(day=1)
        index = month.year * 12 + month.month - 1 - self.last
        return {"month": month, "months_first": date(index // 12, index % 12 + 1, 1), "months_last": month}


@dataclass(frozen=True)
class Plan:
    """A compiled catalogue: its statements, and the detectors that are judged on what they yield."""

    detectors: tuple[Detector, ...]
    scans: Mapping[str, Scan]
    months: Months | None

    @property
    def statements(self) -> int:
        """How many statements read the metrics."""
        return len(self.scans) + (self.months is not None)

    def sql(self, dataset: str) -> dict[str, str]:
        """The statements by name."""
        found = {name: scan.sql(f"{dataset}.daily_entity_metrics") for name, scan in self.scans.items()}
        if self.months is not None:
            found["months"] = self.months.sql(f"{dataset}.monthly_entity_metrics")
        return found

    def parameters(self, as_of: date, left_out: Iterable[date] = ()) -> dict[str, Parameters]:
        """The parameters of each statement in a run."""
        left_out = sorted(left_out)
        found = {name: scan.parameters(as_of, left_out) for name, scan in self.scans.items()}
        if self.months is not None:
            found["months"] = self.months.parameters(as_of)
        return found

    @cached_property
    def reads(self) -> frozenset[str]:
        """The entity types that it reads."""
        return frozenset(name for scan in self.scans.values() for name in scan.asked)


@cache
def plan() -> Plan:
    """The plan of the whole catalogue."""
    return compiled(catalogue())


def compiled(detectors: tuple[Detector, ...]) -> Plan:
    """The plan of these detectors."""
    needs = _Needs()
    for detector in detectors:
        needs.read(detector)
    scans = {
        name: Scan(name, asked, {} if name == "year" else _foldable(name, detectors, asked))
        for name, asked in sorted(needs.scans.items())
    }
    months = {name: tuple(sorted(metrics)) for name, metrics in needs.months.items()}
    return Plan(detectors, scans, Months(months, needs.last_month) if months else None)


def statements_of(detector: Detector) -> list[str]:
    """The statements whose rows a detector is judged on."""
    spans = [detector.span(name) for name in detector.windows]
    found = [detector.scanned_by]
    found += ["year"] if any(span.is_year_ago for span in spans) else []
    return found + (["months"] if any(span.unit == "month" for span in spans) else [])


def history(detector: Detector) -> Span:
    """The eight weeks before the detector's current window."""
    first = detector.span("cur").last + 1
    return Span(first=first, last=first + HISTORY_DAYS - 1)


def weeks(span: Span) -> list[Span]:
    """The weeks of a span."""
    return [Span(first=first, last=first + 6) for first in range(span.first, span.last, 7)]


class _Needs:
    """What the detectors ask of the statements."""

    def __init__(self) -> None:
        self.scans: dict[str, dict[str, _Asked]] = defaultdict(lambda: defaultdict(_Asked))
        self.months: dict[str, set[str]] = defaultdict(set)
        self.last_month = 0

    def read(self, detector: Detector) -> None:
        """Add what one detector needs."""
        scan = self.scans[detector.scanned_by]
        for name in detector.windows:
            span = detector.span(name)
            if span.in_days and not span.is_year_ago:
                scan[detector.rows_of].read(_days(span))
        for field_, text in detector.expressions().items():
            for name in expression.names(text):
                found = feature(detector, name)
                if found is not None:
                    self._feature(detector, found)
                elif name in ("value_per_conversion", "site_monthly_revenue"):
                    for entity_type in {detector.rows_of, "property", "channel"}:
                        self._sums(detector, entity_type, VALUE, VALUE_METRICS)
                elif name == "ctr_curve":
                    self._sums(detector, "keyword", CLICK_CURVE, CURVE_METRICS, scan="search")
                elif name == "history_days":
                    scan[detector.rows_of].read(history(detector))
                elif name == "age_days":
                    scan[detector.rows_of].read(VALUE)
            if field_ == "same_side":
                self._by_weekday(detector, text)
        for label in detector.labels:
            scan[detector.rows_of].labels.add(label)
        for part in detector.parts.values():
            scan[part.entity_type].labels |= {one for one in (part.within, part.whose) if one}
            scan[detector.rows_of].labels |= {one for one in (part.within, part.id) if one and one != "entity_id"}
            for name in expression.names(part.where) - {"entity_id"} - set(detector.thresholds):
                scan[part.entity_type].labels.add(name)
        for peers in detector.peers.values():
            if peers.over != "entity_type":
                scan[detector.rows_of].labels.add(peers.over)

    def _feature(self, detector: Detector, found: Feature) -> None:
        if found.kind == "label":
            if found.metric != "entity_id":
                self.scans[detector.scanned_by][detector.type_of(found.scope)].labels.add(found.metric)
            return
        for entity_type in _types(detector, found.scope):
            self._of(detector, entity_type, found)

    def _of(self, detector: Detector, entity_type: str, found: Feature) -> None:
        span = detector.span(found.window)
        asked = self.scans[detector.scanned_by][entity_type]
        if span.unit == "month":
            self.months[entity_type].update([found.metric] if found.metric else [])
            self.last_month = max(self.last_month, span.last)
        elif span.unit == "row":
            _list(asked, found.metric, ROWS_DAYS - 1)
        elif span.is_year_ago:
            if found.metric:
                self.scans["year"][entity_type].sums.add((found.kind, span, found.metric))
            self.scans["year"][entity_type].read(span)
        elif found.kind == "expected":
            for window in (detector.span("base"), span):
                asked.sums.add(("sum", window, found.metric))
                _list(asked, found.metric, window.last)
        elif found.kind == "phi":
            _list(asked, found.metric, history(detector).last)
        elif found.kind in LISTED:
            asked.sums.add(("sum", span, found.metric))
            _list(asked, found.metric, span.last)
        else:
            asked.read(_days(span))
            if found.metric:
                asked.sums.add((found.kind, span, found.metric))

    def _by_weekday(self, detector: Detector, text: str) -> None:
        for name in expression.names(text):
            found = feature(detector, name)
            if found is not None and found.scope == "own" and found.kind in ("sum", "expected"):
                asked = self.scans[detector.scanned_by][detector.rows_of]
                window = detector.span("base" if found.kind == "expected" else found.window)
                _list(asked, found.metric, window.last)

    def _sums(
        self, detector: Detector, entity_type: str, span: Span, metrics: Iterable[str], scan: str | None = None
    ) -> None:
        asked = self.scans[scan or detector.scanned_by][entity_type]
        asked.read(span)
        asked.sums |= {("sum", span, metric) for metric in metrics}


def _list(asked: _Asked, metric: str, last: int) -> None:
    asked.listed[metric] = max(asked.listed.get(metric, 0), last)
    asked.read(Span(first=0, last=last))


def _days(span: Span) -> Span:
    return Span(first=span.first, last=span.last)


def _types(detector: Detector, scope: str) -> set[str]:
    """The entity types whose figures a scope may need."""
    if scope not in ("site", "rest"):
        return {detector.type_of(scope)}
    return {detector.rows_of, "property", *STAND_INS}


def _foldable(scan: str, detectors: Iterable[Detector], asked: Mapping[str, _Asked]) -> dict[str, tuple[Bounds, ...]]:
    """Entity types whose small entities may be summed up as one, with the least volumes that keep one by itself.

    Each detector of the type must demand some volume of the entity's own, and nobody may look for single entities.
    """
    found: dict[str, list[Bounds]] = defaultdict(list)
    kept: set[str] = {"property", *SITE_PARTS} - {"page", "landing_page", "source_medium"}
    for detector in detectors:
        if scan != detector.scanned_by:
            continue
        kept.update(part.entity_type for part in detector.parts.values())
        alternatives = [
            _bounds(detector, detector.guard),
            *(_bounds(detector, p.among) for p in detector.peers.values()),
        ]
        if detector.reads or not all(alternatives):
            kept.add(detector.rows_of)
        found[detector.rows_of] += alternatives
    return {name: tuple(one) for name, one in found.items() if name not in kept and name in asked}


def _bounds(detector: Detector, condition: str) -> Bounds:
    """The least sums of the entity itself that a condition demands."""
    found = []
    for name, least in expression.least(condition):
        value = detector.thresholds.get(least) if isinstance(least, str) else least
        one = feature(detector, name)
        if value is None or one is None or (one.scope, one.kind) != ("own", "sum"):
            continue
        span = detector.span(one.window)
        if span.in_days and not span.is_year_ago and value > 0:
            found.append((span, one.metric, float(value)))
    return tuple(found)


def _merged(spans: Iterable[Span]) -> list[Span]:
    """The days to read as few ranges: what lies within a month of another is one."""
    merged: list[Span] = []
    for span in sorted(spans, key=lambda span: span.first):
        if merged and span.first <= merged[-1].last + 30:
            merged[-1] = Span(first=merged[-1].first, last=max(merged[-1].last, span.last))
        else:
            merged.append(span)
    return merged


def _holds(span: Span) -> str:
    last = "@month_days - 1" if span.unit == "mtd" else str(span.last)
    return f"ago BETWEEN {span.first} AND {last}"


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)
