"""Compiles the catalogue into two statements: one statement that says what days there are, one that judges every detector.

Nothing of a run is in the text: days are counted back from @as_of, and what is known of the days (which have data)
comes in as @calendar. A catalogue compiles to the same statements for every run.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache

from shared.detectors import expression
from shared.detectors.catalogue import catalogue
from shared.detectors.columns import HISTORY_DAYS, VALUE, Columns
from shared.detectors.declaration import BUILT_IN, Detector, Peers, Rate, Span
from shared.detectors.metrics import METRICS, SITE_PARTS
from shared.schema.sql import render

LEAST_CONVERSIONS = 10
"""With fewer conversions in 90 days an entity's own value per conversion is noise: the site's is taken."""


@dataclass(frozen=True)
class Verdict:
    """One detector's part of the statement: SQL of its conditions and of the numbers that it answers with."""

    id: str
    guard: str
    effect: str
    numbers: str
    arguments: str


@dataclass(frozen=True)
class Plan:
    """A compiled catalogue. The statements need a tenant's table: `features(table)`, `coverage(table)`."""

    detectors: tuple[Detector, ...]
    spans: Mapping[str, Span]
    weights: Mapping[str, tuple[Span, Span]]
    ranges: Mapping[str, Span]
    context: Mapping[str, object]

    def features(self, table: str) -> str:
        """The statement that judges."""
        return render("detectors/features.sql", table=table, **self.context)

    def coverage(self, table: str) -> str:
        """The statement that says which days have data, by entity type."""
        return render("detectors/coverage.sql", table=table, ranges=list(self.ranges))

    def dates_named(self) -> list[str]:
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
    columns, layers = Columns(), Layers()
    columns.money()
    by_type: dict[str, list[Verdict]] = {}
    for detector in detectors:
        names = _Names(detector, columns, layers)
        by_type.setdefault(detector.rows_of, []).append(_verdict(detector, names))
    parts = {part.entity_type for detector in detectors for part in detector.parts.values()}
    read = {"property", *SITE_PARTS, *by_type, *parts}
    own = [name for name in columns.entity if not name.startswith(("raw_", "chi_", "week_", "seen_"))]
    context = {
        "calendar_counts": [f"{kind}_{key}" for key in columns.spans for kind in ("n", "days")],
        "calendar_weights": list(columns.weights),
        "templates": any(p.over == "page_template" for d in detectors for p in d.peers.values()),
        "metrics": [(name, METRICS[name]) for name in columns.metrics],
        "ranges": list(ranges := _ranges(columns.spans.values())),
        "entity_types": ", ".join(f"'{name}'" for name in sorted(read)),
        "weekday": list(columns.weekday.items()),
        "entity": list(columns.entity.items()),
        "compared": list(columns.compared.items()),
        "kept": [*own, *(name for name in columns.compared if name.startswith("part_"))],
        "filled": list(columns.filled.items()),
        "least_conversions": LEAST_CONVERSIONS,
        "layers": layers.steps(),
        "verdicts": sorted(by_type.items()),
    }
    return Plan(detectors, columns.spans, columns.weights, ranges, context)


class Layers:
    """Columns made of other columns: rates, measures and quantiles, each computed once, in as many steps as needed."""

    def __init__(self) -> None:
        self._columns: list[dict[str, str]] = []
        self._taken: set[str] = {"channel", "page_template", "property_id", "turn"}

    def add(self, name: str, sql: str, layer: int) -> str:
        """The column of an expression over the layers below `layer`; the same expression is one column."""
        while len(self._columns) < layer:
            self._columns.append({})
        known = self._columns[layer - 1]
        if sql not in known:
            column, number = name, 1
            while column in self._taken:
                number += 1
                column = f"{name}_{number}"
            self._taken.add(column)
            known[sql] = column
        return known[sql]

    def steps(self) -> list[list[tuple[str, str]]]:
        """(column, SQL) of each step."""
        return [[(column, sql) for sql, column in layer.items()] for layer in self._columns]


class _Names:
    """Resolves the names of one declaration to columns, making those that are not there yet."""

    def __init__(self, detector: Detector, columns: Columns, layers: Layers) -> None:
        self._detector = detector
        self.columns = columns
        self._layers = layers
        self._open: list[str] = []
        self.used: dict[str, str] = {}

    def sql(self, text: str) -> str:
        """An expression as SQL over the last step."""
        return self._sql(text)[0]

    def _sql(self, text: str) -> tuple[str, int]:
        layers = [0]

        def resolve(name: str) -> str:
            sql, layer = self.name(name)
            layers.append(layer)
            return sql

        return expression.substitute(text, resolve), max(layers)

    def name(self, name: str) -> tuple[str, int]:
        """A name's column and the layer that it is in."""
        detector = self._detector
        if name in detector.thresholds:
            return f"{detector.thresholds[name]:g}", 0
        if name in self._open:
            raise expression.ExpressionError(f"{detector.id}: {name} is defined by itself")
        self._open.append(name)
        made = self._made(name)
        self._open.pop()
        if made is None:
            column, layer = self._feature(name)
        else:
            sql, below = made
            column, layer = self._layers.add(name, sql, below + 1), below + 1
        self.used[name] = column
        return column, layer

    def _made(self, name: str) -> tuple[str, int] | None:
        detector = self._detector
        if name in detector.measures:
            return self._sql(detector.measures[name])
        if name in detector.rates:
            return self._rate(detector.rates[name])
        if name in detector.peers:
            return self._peers(detector.peers[name])
        return None

    def _feature(self, name: str) -> tuple[str, int]:
        if name == "age_days":
            return self.columns.age(), 0
        if name == "history_days":
            first = self._detector.span("cur").last + 1
            return self.columns.days(Span(first=first, last=first + HISTORY_DAYS - 1)), 0
        if name in BUILT_IN:
            return name, 0
        column = self.columns.need(self._detector, name)
        if name.startswith("rest_"):
            return self._layers.add(f"rest_{column}", f"GREATEST(site_{column} - {column}, 0)", 1), 1
        return column, 0

    def _rate(self, rate: Rate) -> tuple[str, int]:
        of, per, needs = self._sql(rate.of), self._sql(rate.per), self._sql(rate.needs or "TRUE")
        ratio = f"SAFE_DIVIDE({of[0]}, {per[0]})"
        if rate.needs is not None:
            ratio = f"IF({needs[0]}, {ratio}, NULL)"
        sql = ratio if rate.otherwise is None else f"IFNULL({ratio}, {rate.otherwise:g})"
        return sql, max(of[1], per[1], needs[1])

    def _peers(self, peers: Peers) -> tuple[str, int]:
        among, of = self._sql(peers.among), self._sql(peers.of)
        over = "entity_type" if peers.over == "entity_type" else "entity_type, page_template"
        value = f"IF({among[0]}, {of[0]}, NULL)"
        sql = (
            f"IF(COUNT({value}) OVER (PARTITION BY {over}) >= {peers.at_least}, "
            f"PERCENTILE_CONT({value}, {peers.quantile:g}) OVER (PARTITION BY {over}), NULL)"
        )
        return sql, max(among[1], of[1])


def _verdict(detector: Detector, names: _Names) -> Verdict:
    guard = f"({names.sql(detector.guard)})"
    if detector.only:
        guard = f"({names.sql(detector.only)}) AND {guard}"
    if detector.reads:
        guard = f"turn = 1 AND {guard}"
    effect = names.sql(detector.effect)
    arguments = {f"test_{name}": names.sql(text) for name, text in detector.test.args.items()}
    arguments["test_least"] = "1"
    values = {
        "confidence_n": names.sql(detector.confidence.n),
        "confidence_min_volume": names.sql(detector.confidence.min_volume),
    }
    if detector.value.formula:
        values |= {"value_mid": names.sql(detector.value.formula), "value_source": "value_source"}
    values |= {f"share_{name}": names.sql(share) for name, share in detector.dampens.items()}
    values["site_monthly_revenue"] = "site_monthly_revenue"
    if detector.severity.share:
        values["severity_share"] = names.sql(detector.severity.share)
    if detector.same_side:
        values["same_side"] = _same_side(detector, names)
    # Everything that a formula names is shown, so that the finding can be computed again from its evidence.
    for name in (*detector.rates, *detector.measures, *detector.peers):
        names.name(name)
    values |= dict(sorted(names.used.items()))
    return Verdict(
        id=detector.id, guard=guard, effect=effect, numbers=_list(arguments | values), arguments=_list(arguments)
    )


def _same_side(detector: Detector, names: _Names) -> str:
    columns = names.columns
    side = expression.substitute(detector.same_side or "", lambda name: columns.side(detector, name))
    column = f"same_side_{detector.id}"
    columns.entity[column] = f"SAFE_DIVIDE(SUM(IF({side}, 1, 0)), COUNT(IF(({side}) IS NULL, NULL, 1)))"
    return column


def _list(values: Mapping[str, str]) -> str:
    return ",\n        ".join(f"{sql} AS {name}" for name, sql in values.items())


def _ranges(spans: Iterable[Span]) -> dict[str, Span]:
    """The days to read as few ranges: what lies within a month of another is one."""
    merged: list[Span] = []
    for span in sorted([VALUE, *spans], key=lambda span: span.first):
        if merged and span.first <= merged[-1].last + 30:
            merged[-1] = Span(first=merged[-1].first, last=max(merged[-1].last, span.last))
        else:
            merged.append(span)
    return {f"range_{index}": span for index, span in enumerate(merged)}
