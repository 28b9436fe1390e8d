"""The columns that a catalogue needs of the one scan: each once, whoever asks for it.

They pass four steps of features.sql: `weekday` sums of an entity, its `entity` sums, `compared` with the site by
window functions, `filled` where an absent row means none. A column's name says what it holds: `sessions_7_34` is the
sum of sessions from 7 to 34 days before `as_of`.
"""

from dataclasses import dataclass, field

from shared.detectors.declaration import Detector, Span, feature
from shared.detectors.metrics import SPARSE

HISTORY_DAYS = 56
"""Dispersion is estimated on the eight weeks before the current window."""
VALUE = Span(first=0, last=89)
"""The value of a conversion and the site's revenue are those of 90 days."""

SPARSE_TYPES = ", ".join(f"'{name}'" for name in SPARSE)


@dataclass
class Columns:
    """Column name -> SQL, a dict for each step."""

    spans: dict[str, Span] = field(default_factory=dict)
    weights: dict[str, tuple[Span, Span]] = field(default_factory=dict)
    metrics: dict[str, None] = field(default_factory=dict)
    weekday: dict[str, str] = field(default_factory=dict)
    entity: dict[str, str] = field(default_factory=dict)
    compared: dict[str, str] = field(default_factory=dict)
    filled: dict[str, str] = field(default_factory=dict)

    def need(self, detector: Detector, name: str) -> str:
        """The column of a feature, as an expression over the last step; the feature exists."""
        found = feature(detector, name)
        if found is None:
            raise KeyError(name)
        scope, kind, window, metric = found
        span = detector.span(window)
        if kind == "days":
            return self.days(span)
        if kind == "phi":
            return self.phi(metric, span)
        if kind == "days_with":
            return self.days_with(metric, span)
        if kind == "dates_with":
            return self.dates_with(metric, span, detector.rows_of)
        if kind in ("log", "log2"):
            return self.log(metric, span, kind)
        expected = kind == "expected"
        column = self.expected(metric, span, detector.span("base")) if expected else self.total(metric, span)
        if scope == "own":
            return column
        if scope == "site":
            return self.site(column)
        if scope == "rest":
            # The site without the entity: the compiler makes it of the two.
            self.site(column)
            return column
        return self.part(detector, scope, column)

    def total(self, metric: str, span: Span) -> str:
        """The sum of a metric over a window; NULL where the metric is not measured on each day that has a row."""
        column = self._weekday_sum(metric, span)
        self.entity[f"raw_{column}"] = f"{self._measured(metric, span)}SUM(weekdays.{column}), NULL)"
        return self._fill(column, span)

    def expected(self, metric: str, cur: Span, base: Span) -> str:
        """What the base lets expect of the current window, weekday by weekday."""
        weight = self.weight(cur, base)
        column, source = f"expected_{metric}_{cur.key}_by_{base.key}", self._weekday_sum(metric, base)
        self.entity[f"raw_{column}"] = (
            f"{self._measured(metric, base)}SUM(IFNULL(weekdays.{source}, 0) * calendar.{weight}), NULL)"
        )
        return self._fill(column, base)

    def side(self, detector: Detector, name: str) -> str:
        """A feature within one weekday, for `same_side`."""
        found = feature(detector, name)
        if found is None or found[0] != "own" or found[1] not in ("sum", "expected"):
            raise KeyError(name)
        _, kind, window, metric = found
        if kind == "expected":
            cur, base = detector.span("cur"), detector.span("base")
            source = self._weekday_sum(metric, base)
            return f"(IFNULL(weekdays.{source}, 0) * calendar.{self.weight(cur, base)})"
        span = detector.span(window)
        self.days(span)
        return f"IF(calendar.n_{span.key} > 0, IFNULL(weekdays.{self._weekday_sum(metric, span)}, 0), NULL)"

    def days(self, span: Span) -> str:
        """The days of a window that have data, for the entity's type."""
        self.spans[span.key] = span
        column = f"days_{span.key}"
        self.entity[column] = f"MAX(calendar.{column})"
        return column

    def weight(self, cur: Span, base: Span) -> str:
        """The calendar's weight of a base weekday: current days over base days."""
        name = f"weight_{cur.key}_by_{base.key}"
        self.weights[name] = (cur, base)
        return name

    def phi(self, metric: str, cur: Span) -> str:
        """Overdispersion over the eight weeks before a window: at least 1, by days within weekdays, or by weeks.

        Days alone would miss that weeks drift as a whole; weeks alone are too few to be sure.
        """
        history = Span(first=cur.last + 1, last=cur.last + HISTORY_DAYS)
        column, days = f"phi_{metric}_{history.key}", self.days(history)
        source = self._weekday_sum(metric, history)
        self.weekday[f"squares_{source}"] = _within(history, f"{metric} * {metric}")
        total, n = f"weekdays.{source}", f"calendar.n_{history.key}"
        spread = f"{n} * weekdays.squares_{source} - {total} * {total}"
        self.entity[f"chi_{source}"] = f"SUM(SAFE_DIVIDE({spread}, {total}))"
        weeks = [Span(first=first, last=first + 6) for first in range(history.first, history.last, 7)]
        full, sums, squares = [], [], []
        for week in weeks:
            name = self._weekday_sum(metric, week)
            self.entity[f"week_{name}"] = f"IFNULL(SUM(weekdays.{name}), 0)"
            flag = f"IF({self.days(week)} = 7, 1, 0)"
            full.append(flag)
            sums.append(f"{flag} * week_{name}")
            squares.append(f"{flag} * week_{name} * week_{name}")
        k, total, square = (" + ".join(terms) for terms in (full, sums, squares))
        self.filled[column] = (
            f"GREATEST(1, IFNULL(SAFE_DIVIDE(chi_{source}, {days} - 7), 1),\n"
            f"      IFNULL(SAFE_DIVIDE(({k}) * ({square}) - POW({total}, 2), ({total}) * ({k} - 1)), 1))"
        )
        return column

    def days_with(self, metric: str, span: Span) -> str:
        """On how many days of the window the metric is above 0."""
        column = f"some_{metric}_{span.key}"
        self._read(metric, span)
        self.weekday[column] = f"SUM(IF(ago BETWEEN {span.first} AND {span.last} AND {metric} > 0, 1, 0))"
        self.entity[column] = f"IFNULL(SUM(weekdays.{column}), 0)"
        return column

    def dates_with(self, metric: str, span: Span, entity_type: str) -> str:
        """Which days of the window have the metric above 0: days before `as_of`, joined by commas."""
        column = f"dates_{metric}_{span.key}"
        self._read(metric, span)
        self.weekday[column] = (
            f"STRING_AGG(IF(entity_type = '{entity_type}' AND ago BETWEEN {span.first} AND {span.last}"
            f" AND {metric} > 0, CAST(ago AS STRING), NULL), ',')"
        )
        self.entity[column] = f"STRING_AGG(weekdays.{column}, ',')"
        return column

    def log(self, metric: str, span: Span, kind: str) -> str:
        """The sum over days of ln(x + 1), or of its square; a day without a row is ln 1 = 0."""
        column, value = f"{kind}_{metric}_{span.key}", f"LN(GREATEST({metric}, 0) + 1)"
        self._read(metric, span)
        self.weekday[column] = _within(span, value if kind == "log" else f"POW({value}, 2)")
        self.entity[f"raw_{column}"] = f"SUM(weekdays.{column})"
        return self._fill(column, span)

    def site(self, column: str) -> str:
        """The site's own figure: of its `property` rows, or summed over the parts that stand in for them."""
        shared = f"SUM(IF(entity_type = @site_type, raw_{column}, NULL)) OVER ()"
        self.compared[f"shared_{column}"] = shared
        self.filled[f"site_{column}"] = f"IF(own_site = 1, type_{column}, COALESCE(shared_{column}, type_{column}))"
        return f"site_{column}"

    def part(self, detector: Detector, name: str, column: str) -> str:
        """A figure of a declared part of the site."""
        part = detector.parts[name]
        own = f"part_{detector.id}_{name}_{column}"
        self.compared[own] = (
            f"SUM(IF(entity_type = '{part.entity_type}' AND ({part.where}), raw_{column}, NULL)) OVER ()"
        )
        return own

    def money(self) -> None:
        """Revenue and conversions of 90 days, of days that measure both."""
        both = "revenue IS NOT NULL AND conversions IS NOT NULL"
        for metric in ("revenue", "conversions"):
            self._read(metric, VALUE)
            column = f"value_{metric}"
            self.weekday[column] = f"SUM(IF(ago <= {VALUE.last} AND {both}, {metric}, NULL))"
            self.entity[f"raw_{column}"] = f"SUM(weekdays.{column})"
            self.compared[f"type_{column}"] = f"SUM(raw_{column}) OVER (PARTITION BY entity_type)"
            self.filled[column] = f"raw_{column}"
            self.site(column)
        self.days(VALUE)

    def age(self) -> str:
        """Days since the entity's first row, up to 90."""
        self.weekday["oldest"] = f"MAX(IF(ago <= {VALUE.last}, ago, NULL))"
        self.entity["age_days"] = "MAX(weekdays.oldest) + 1"
        return "age_days"

    def _read(self, metric: str, span: Span) -> None:
        self.metrics[metric] = None
        self.spans[span.key] = span

    def _weekday_sum(self, metric: str, span: Span) -> str:
        self._read(metric, span)
        self.weekday[f"{metric}_{span.key}"] = _within(span, metric)
        return f"{metric}_{span.key}"

    def _measured(self, metric: str, span: Span) -> str:
        inside = f"ago BETWEEN {span.first} AND {span.last}"
        self.weekday[f"measured_{metric}_{span.key}"] = f"SUM(IF({inside} AND {metric} IS NOT NULL, 1, 0))"
        return f"IF(SUM(weekdays.measured_{metric}_{span.key}) = SUM(weekdays.{self._seen(span)}), "

    def _seen(self, span: Span) -> str:
        column = f"seen_{span.key}"
        self.weekday[column] = f"SUM(IF(ago BETWEEN {span.first} AND {span.last}, 1, 0))"
        self.entity[column] = f"SUM(weekdays.{column})"
        return column

    def _fill(self, column: str, span: Span) -> str:
        self.compared[f"type_{column}"] = f"SUM(raw_{column}) OVER (PARTITION BY entity_type)"
        measured = f"(type_{column} IS NOT NULL OR entity_type IN ({SPARSE_TYPES}))"
        self.filled[column] = f"IF(raw_{column} IS NULL AND {self._seen(span)} = 0 AND {measured}, 0, raw_{column})"
        return column


def _within(span: Span, value: str) -> str:
    return f"SUM(IF(ago BETWEEN {span.first} AND {span.last}, {value}, NULL))"
