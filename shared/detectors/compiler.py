"""Compiles the catalogue into three statements: a pass over the days, one over days a year ago, one over the months.

A statement yields a row for each entity that some detector's guard lets pass, and one row that sums up the others of
its kind. Its text grows with metrics and windows, not with detectors: conditions are evaluated on the sums (names.py).
One pass for all families of entities: what is billed are a table's columns and partitions, once a statement.
"""

from collections import Counter, defaultdict
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
ROWS_DAYS = 91
"""How far back the newest rows of an entity (an e-mail's sends) are looked for."""
VALUE_METRICS = ("value_revenue", "value_conversions")
CURVE_METRICS = ("impressions", "clicks", "position_impressions")
BLOCK_DAYS = 60
"""Days on which an entity has rows come as bitmaps of so many."""
Bound = tuple[Span, str, float]
Bounds = tuple[Bound, ...]
Parameters = dict[str, Any]


@dataclass
class _Asked:
    """What is asked of one entity type in one statement."""

    sums: set[tuple[str, Span, str]] = field(default_factory=set)
    listed: dict[str, int] = field(default_factory=dict)
    labels: set[str] = field(default_factory=set)
    days: set[Span] = field(default_factory=set)

    @property
    def metrics(self) -> set[str]:
        """The metrics that it reads."""
        return {metric for _, _, metric in self.sums} | set(self.listed)

    def read(self, span: Span) -> None:
        """The days that it needs."""
        self.days.add(span)


@dataclass(frozen=True)
class Family:
    """Entities that are summed together: which windows of which metrics of which types."""

    name: str
    asked: Mapping[str, _Asked]
    bounds: Mapping[str, tuple[Bounds, ...]]

    @cached_property
    def labels(self) -> list[str]:
        """The labels that it yields, in order."""
        return sorted({label for asked in self.asked.values() for label in asked.labels})

    @cached_property
    def listed(self) -> list[str]:
        """The metrics whose single days it yields, in order."""
        return sorted({metric for asked in self.asked.values() for metric in asked.listed})

    @cached_property
    def metrics(self) -> list[str]:
        """The metrics that it reads."""
        found = {metric for asked in self.asked.values() for _, _, metric in asked.sums if metric}
        found |= {metric for alternatives in self.bounds.values() for one in alternatives for _, metric, _ in one}
        return sorted(found | set(self.listed))

    @cached_property
    def spans(self) -> list[dict[str, Any]]:
        """Its windows, and the metrics of each by statistic."""
        by_span: dict[Span, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
        for asked in self.asked.values():
            for kind, span, metric in asked.sums:
                by_span[span]["sum" if kind == "days" else kind] |= {metric} if metric else set()
        return [
            {
                "key": span.key,
                "holds": _holds(span),
                **{kind: sorted(kinds[kind]) for kind in SUMMED if kind != "days"},
            }
            for span, kinds in sorted(by_span.items(), key=lambda one: (one[0].unit, one[0].first, one[0].last))
        ]

    @cached_property
    def layout(self) -> list[str]:
        """What its numbers are, in order; the first is none."""
        found = [""]
        for span in self.spans:
            found += [f"seen_{span['key']}"]
            for kind in ("sum", "mean", "max", "min", "last"):
                found += [f"{kind}_{span['key']}_{name}" for name in span[kind]]
        return found

    def block(self, least: Mapping[Bound, str]) -> dict[str, Any]:
        """What the template needs of it."""
        volumes = [(name, _condition(self.bounds[name], least)) for name in sorted(self.bounds)]
        return {
            "name": self.name,
            "types": _quoted(sorted(self.asked)),
            "volumes": volumes,
            "entity_id": "IF(volumes.is_judged, days.entity_id, NULL)" if volumes else "days.entity_id",
            "labels": [(name, self._types("labels", name)) for name in self.labels],
            "metrics": [(name, METRICS[name], self._types("metrics", name)) for name in self.metrics],
            "spans": self.spans,
            "listed": [(name, self._listed_of(name)) for name in self.listed],
            "is_listed": self._is_listed(),
        }

    def _types(self, of: str, name: str) -> str:
        """The entity types of which a label or metric is asked."""
        return _quoted(kind for kind, asked in sorted(self.asked.items()) if name in getattr(asked, of))

    def columns_of(self, entity_type: str) -> set[str]:
        """Of its layout, what is asked of one entity type."""
        seen = {f"seen_{span['key']}" for span in self.spans}
        sums = self.asked[entity_type].sums
        return seen | {f"{'sum' if kind == 'days' else kind}_{span.key}_{metric}" for kind, span, metric in sums}

    def listed_of(self, entity_type: str) -> list[str]:
        """The metrics whose single days it yields of one entity type, in order."""
        return [name for name in self.listed if name in self.asked[entity_type].listed]

    def _listed_of(self, metric: str) -> str:
        """What restricts a metric's days to the entity types that they are asked of."""
        listed = [name for name, asked in sorted(self.asked.items()) if asked.listed]
        types = [name for name in listed if metric in self.asked[name].listed]
        return "" if types == listed else f" AND entity_type IN ({_quoted(types)})"

    def _is_listed(self) -> str:
        depths: dict[int, list[str]] = defaultdict(list)
        for name, asked in sorted(self.asked.items()):
            if asked.listed:
                depths[max(asked.listed.values())].append(name)
        cases = (f"WHEN days.entity_type IN ({_quoted(types)}) THEN {depth}" for depth, types in sorted(depths.items()))
        return f"days.ago <= CASE {' '.join(cases)} ELSE -1 END"


@dataclass(frozen=True)
class Scan:
    """One statement over a range of days, of several families."""

    families: tuple[Family, ...]

    def sql(self, table: str) -> str:
        """Its text; the text knows nothing of a run."""
        return render(
            "detectors/scan.sql",
            table=table,
            percepts=_quoted(PERCEPTS),
            families=[family.block(self._least) for family in self.families],
            blocks=range(self.days.first // BLOCK_DAYS, self.days.last // BLOCK_DAYS + 1),
        )

    @cached_property
    def days(self) -> Span:
        """The days that it reads."""
        asked = [span for family in self.families for asked in family.asked.values() for span in asked.days]
        return Span(first=min(span.first for span in asked), last=max(span.last for span in asked))

    @cached_property
    def types(self) -> list[str]:
        """The entity types that it reads."""
        return sorted({name for family in self.families for name in family.asked})

    def parameters(self, as_of: date, left_out: Iterable[date]) -> Parameters:
        """Its parameters in a run."""
        found: Parameters = {
            "as_of": as_of,
            "first_day": as_of - timedelta(days=self.days.last),
            "last_day": as_of - timedelta(days=self.days.first),
            "left_out": list(left_out) or [date(1, 1, 1)],
        }
        found |= {name: bound[2] for bound, name in self._least.items()}
        spans = {span for family in self.families for asked in family.asked.values() for _, span, _ in asked.sums}
        return found | ({"month_days": as_of.day} if any(span.unit == "mtd" for span in spans) else {})

    @cached_property
    def _least(self) -> dict[Bound, str]:
        every = {one for family in self.families for all_ in family.bounds.values() for each in all_ for one in each}
        ordered = sorted(every, key=lambda one: (one[0].key, one[1], one[2]))
        return {one: f"least_{index}" for index, one in enumerate(ordered)}


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
        return frozenset(name for scan in self.scans.values() for name in scan.types)


@cache
def plan() -> Plan:
    """The plan of the whole catalogue."""
    return compiled(catalogue())


def compiled(detectors: tuple[Detector, ...]) -> Plan:
    """The plan of these detectors."""
    needs = _Needs()
    for detector in detectors:
        needs.read(detector)
    # What several families read is kept whole in each: a folded entity would count twice where another lists it.
    readers = Counter(kind for name, asked in needs.scans.items() if name != "year" for kind in asked)
    several = {kind for kind, number in readers.items() if number > 1}
    families = {
        name: Family(name, asked, {} if name == "year" else _foldable(name, detectors, asked, several))
        for name, asked in sorted(needs.scans.items())
        if any(one.days for one in asked.values())
    }
    long_past = families.pop("year", None)
    scans = {"days": Scan(tuple(families.values()))} if families else {}
    scans |= {"year": Scan((long_past,))} if long_past else {}
    months = {name: tuple(sorted(metrics)) for name, metrics in needs.months.items()}
    return Plan(detectors, scans, Months(months, needs.last_month) if months else None)


def statements_of(detector: Detector) -> list[str]:
    """The statements whose rows a detector is judged on."""
    spans = [detector.span(name) for name in detector.windows]
    found = ["days"]
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
            named = {part.within, part.id} - {None, "entity_id", *detector.peers}
            scan[detector.rows_of].labels |= {str(one) for one in named}
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
                if window.in_days:
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


def _foldable(
    scan: str, detectors: Iterable[Detector], asked: Mapping[str, _Asked], several: set[str]
) -> dict[str, tuple[Bounds, ...]]:
    """Entity types whose small entities may be summed up as one, with the least volumes that keep one by itself.

    Each detector of the type must demand some volume of the entity's own, and nobody may look for single entities.
    """
    found: dict[str, list[Bounds]] = defaultdict(list)
    kept: set[str] = ({"property", *SITE_PARTS} - {"page", "landing_page", "source_medium"}) | several
    for detector in detectors:
        if scan != detector.scanned_by:
            continue
        kept.update(detector.needed_parts)
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


def _condition(alternatives: Iterable[Bounds], least: Mapping[Bound, str]) -> str:
    """Demands the least volumes of one detector at least."""
    texts = {
        " AND ".join(sorted(f"SUM(IF({_holds(one[0])}, {one[1]}, 0)) >= @{least[one]}" for one in bounds))
        for bounds in alternatives
    }
    return " OR ".join(f"({text})" for text in sorted(texts))


def _holds(span: Span) -> str:
    last = "@month_days - 1" if span.unit == "mtd" else str(span.last)
    return f"ago BETWEEN {span.first} AND {last}"


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)
