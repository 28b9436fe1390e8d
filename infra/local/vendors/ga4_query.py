"""Answer a runReport request of the Google Analytics Data API v1beta from the sample.

The report that carries all asked dimensions and metrics is filtered, grouped and summed; nothing is canned.
totalUsers is summed like the other metrics, although Google would count a returning user once.
https://developers.google.com/analytics/devguides/reporting/data/v1/rest/v1beta/properties/runReport
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from infra.local.sample import REPORTS, Report, Sample

DEFAULT_LIMIT, MAX_LIMIT = 10_000, 250_000
MAX_DATE_RANGES, MAX_DIMENSIONS, MAX_METRICS = 4, 9, 10
CURRENCY, TIME_ZONE = "USD", "America/Los_Angeles"

DIMENSIONS = {name for report in REPORTS.values() for name in report.dimensions}
METRICS = {name for report in REPORTS.values() for name in report.metrics}
# The client asks for enums as numbers ($alt=json;enum-encoding=int), other callers for names.
METRIC_TYPES = {"TYPE_INTEGER": 1, "TYPE_FLOAT": 2, "TYPE_SECONDS": 4, "TYPE_CURRENCY": 9}
# Key events can be fractional where attribution shares them; all others are counts.
TYPES = {"purchaseRevenue": "TYPE_CURRENCY", "keyEvents": "TYPE_FLOAT", "userEngagementDuration": "TYPE_SECONDS"}
MATCH_TYPES = ["", "EXACT", "BEGINS_WITH", "ENDS_WITH", "CONTAINS", "FULL_REGEXP", "PARTIAL_REGEXP"]
OPERATIONS = ["", "EQUAL", "LESS_THAN", "LESS_THAN_OR_EQUAL", "GREATER_THAN", "GREATER_THAN_OR_EQUAL"]
ORDER_TYPES = ["", "ALPHANUMERIC", "CASE_INSENSITIVE_ALPHANUMERIC", "NUMERIC"]

COMPARE: dict[str, Callable[[float, float], bool]] = {
    "EQUAL": lambda value, other: value == other,
    "LESS_THAN": lambda value, other: value < other,
    "LESS_THAN_OR_EQUAL": lambda value, other: value <= other,
    "GREATER_THAN": lambda value, other: value > other,
    "GREATER_THAN_OR_EQUAL": lambda value, other: value >= other,
}

Json = Mapping[str, Any]
Values = Mapping[str, Any]


class InvalidArgument(ValueError):
    """The request is wrong; the message says why, in Google's words where they are known."""


@dataclass(frozen=True)
class DateRange:
    """Days asked for, both inclusive, as YYYYMMDD like the rows' dates."""

    name: str
    first: str
    last: str


@dataclass
class Answer:
    """The response body and what it cost: rows read from the report, for the quota."""

    body: dict[str, Any]
    rows_read: int


@dataclass
class Line:
    """One row of the answer while it is made."""

    dimensions: dict[str, str]
    metrics: dict[str, float] = field(default_factory=dict)


def run_report(request: Json, sample: Sample, *, enums_as_numbers: bool = False) -> Answer:
    """Answer one request. Raises InvalidArgument."""
    asked = [str(item.get("name", "")) for item in request.get("dimensions", [])]
    metrics = [str(item.get("name", "")) for item in request.get("metrics", [])]
    ranges = date_ranges(request.get("dateRanges", []), sample.today)
    dimension_filter = request.get("dimensionFilter") or {}
    metric_filter = request.get("metricFilter") or {}
    check_fields(asked, metrics, fields_of(dimension_filter), fields_of(metric_filter))

    stored = [name for name in asked if name != "dateRange"]
    report = report_for({*stored, *fields_of(dimension_filter)} - {"dateRange"}, {*metrics, *fields_of(metric_filter)})
    headers = list(asked)
    if len(ranges) > 1 and "dateRange" not in headers:
        headers.append("dateRange")

    wanted = matcher(dimension_filter)
    sums = sorted({*metrics, *fields_of(metric_filter)})
    lines: dict[tuple[str, ...], Line] = {}
    rows_read = 0
    for day_range in ranges:
        for row in sample.between(report.name, day_range.first, day_range.last):
            rows_read += 1
            values = {**row, "dateRange": day_range.name}
            if not wanted(values):
                continue
            key = tuple(str(values[name]) for name in headers)
            line = lines.setdefault(key, Line(dict(zip(headers, key, strict=True)), dict.fromkeys(sums, 0)))
            for name in sums:
                line.metrics[name] += values[name]  # type: ignore[operator]

    kept = [line for line in lines.values() if matcher(metric_filter)(line.metrics)]
    if not request.get("keepEmptyRows", False) and metrics:
        kept = [line for line in kept if any(line.metrics[name] for name in metrics)]
    ordered = in_order(kept, request.get("orderBys", []), headers, metrics)
    limit, offset = whole(request, "limit") or DEFAULT_LIMIT, whole(request, "offset")
    page = ordered[offset : offset + min(limit, MAX_LIMIT)]

    body: dict[str, Any] = {
        "dimensionHeaders": [{"name": name} for name in headers],
        "metricHeaders": [{"name": name, "type": metric_type(name, enums_as_numbers)} for name in metrics],
        "metadata": {"currencyCode": CURRENCY, "timeZone": TIME_ZONE},
        "kind": "analyticsData#runReport",
    }
    # As the real API: what is empty or zero is left out.
    if page:
        body["rows"] = [
            {
                "dimensionValues": [{"value": line.dimensions[name]} for name in headers],
                "metricValues": [{"value": as_text(line.metrics[name])} for name in metrics],
            }
            for line in page
        ]
    if ordered:
        body["rowCount"] = len(ordered)
    return Answer({name: value for name, value in body.items() if value != []}, rows_read)


def check_fields(
    dimensions: Sequence[str],
    metrics: Sequence[str],
    filter_dimensions: Iterable[str],
    filter_metrics: Iterable[str],
) -> None:
    if not dimensions and not metrics:
        raise InvalidArgument("Requests must have at least one dimension or metric.")
    if len(dimensions) > MAX_DIMENSIONS:
        raise InvalidArgument(f"Requests are limited to {MAX_DIMENSIONS} dimensions.")
    if len(metrics) > MAX_METRICS:
        raise InvalidArgument(f"Requests are limited to {MAX_METRICS} metrics.")
    for kind, names, known in (
        ("dimension", [*dimensions, *filter_dimensions], DIMENSIONS | {"dateRange"}),
        ("metric", [*metrics, *filter_metrics], METRICS),
    ):
        for name in names:
            if name not in known:
                raise InvalidArgument(
                    f"Field {name} is not a valid {kind}. For a list of valid dimensions and metrics, see "
                    "https://developers.google.com/analytics/devguides/reporting/data/v1/api-schema "
                )
    for fields in (dimensions, metrics):
        if len(set(fields)) != len(fields):
            raise InvalidArgument("Duplicate fields are not allowed in a request.")


def report_for(dimensions: set[str], metrics: set[str]) -> Report:
    """The first report that carries all fields."""
    for report in REPORTS.values():
        if dimensions <= set(report.dimensions) and metrics <= set(report.metrics):
            return report
    extra = sorted(dimensions - {"date"})
    raise InvalidArgument(
        f"Please remove {', '.join(extra or sorted(metrics))} to make the request compatible. The request's "
        "dimensions & metrics are incompatible. To learn more, see "
        "https://ga-dev-tools.google/ga4/dimensions-metrics-explorer/"
    )


def date_ranges(asked: Sequence[Json], today: date) -> list[DateRange]:
    if not asked:
        raise InvalidArgument("A dateRange is required. Only cohort requests can be sent without one.")
    if len(asked) > MAX_DATE_RANGES:
        raise InvalidArgument(f"Requests are limited to {MAX_DATE_RANGES} dateRanges.")
    ranges = []
    for index, item in enumerate(asked):
        first, last = (absolute_day(str(item.get(side, "")), today) for side in ("startDate", "endDate"))
        if first > last:
            raise InvalidArgument(f"startDate {first} must be before or the same as endDate {last}.")
        ranges.append(DateRange(str(item.get("name") or f"date_range_{index}"), f"{first:%Y%m%d}", f"{last:%Y%m%d}"))
    return ranges


def absolute_day(text: str, today: date) -> date:
    """`YYYY-MM-DD`, `today`, `yesterday` or `NdaysAgo` as a day."""
    relative = {"today": 0, "yesterday": 1}.get(text)
    if ago := re.fullmatch(r"(\d{1,4})daysAgo", text):
        relative = int(ago[1])
    if relative is not None:
        return today - timedelta(days=relative)
    try:
        if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise InvalidArgument(
        f"Invalid date: {text!r}. Dates are in the format YYYY-MM-DD, or one of NdaysAgo, yesterday, or today."
    )


def fields_of(expression: Json) -> list[str]:
    """Names of the fields that a filter expression mentions."""
    if "filter" in expression:
        return [str(expression["filter"].get("fieldName", ""))]
    if "notExpression" in expression:
        return fields_of(expression["notExpression"])
    return [
        name
        for group in ("andGroup", "orGroup")
        for inner in expression.get(group, {}).get("expressions", [])
        for name in fields_of(inner)
    ]


def matcher(expression: Json) -> Callable[[Values], bool]:
    """A test of a row's values; an absent expression accepts all."""
    if not expression:
        return lambda values: True
    if "andGroup" in expression or "orGroup" in expression:
        combine = all if "andGroup" in expression else any
        group = expression.get("andGroup", expression.get("orGroup")) or {}
        tests = [matcher(inner) for inner in group.get("expressions", [])]
        return lambda values: combine(test(values) for test in tests)
    if "notExpression" in expression:
        inner_test = matcher(expression["notExpression"])
        return lambda values: not inner_test(values)
    if "filter" not in expression:
        raise InvalidArgument("A FilterExpression must have one of andGroup, orGroup, notExpression, filter.")
    return field_matcher(expression["filter"])


def field_matcher(rule: Json) -> Callable[[Values], bool]:
    name = str(rule.get("fieldName", ""))
    if "stringFilter" in rule:
        test = text_test(rule["stringFilter"])
        return lambda values: test(str(values[name]))
    if "inListFilter" in rule:
        exact = bool(rule["inListFilter"].get("caseSensitive", False))
        items = {fold(str(item), exact) for item in rule["inListFilter"].get("values", [])}
        return lambda values: fold(str(values[name]), exact) in items
    if "numericFilter" in rule:
        compare = COMPARE.get(enum(rule["numericFilter"].get("operation", 0), OPERATIONS))
        if compare is None:
            raise InvalidArgument("A numericFilter must have an operation.")
        other = number(rule["numericFilter"].get("value"))
        return lambda values: compare(float(values[name]), other)
    if "betweenFilter" in rule:
        low, high = (number(rule["betweenFilter"].get(side)) for side in ("fromValue", "toValue"))
        return lambda values: low <= float(values[name]) <= high
    if "emptyFilter" in rule:
        return lambda values: str(values[name]) in ("", "(not set)")
    raise InvalidArgument(f"The filter of {name} has no condition.")


def text_test(rule: Json) -> Callable[[str], bool]:
    exact = bool(rule.get("caseSensitive", False))
    wanted = str(rule.get("value", ""))
    match enum(rule.get("matchType", "EXACT"), MATCH_TYPES):
        case "EXACT" | "":
            return lambda value: fold(value, exact) == fold(wanted, exact)
        case "BEGINS_WITH":
            return lambda value: fold(value, exact).startswith(fold(wanted, exact))
        case "ENDS_WITH":
            return lambda value: fold(value, exact).endswith(fold(wanted, exact))
        case "CONTAINS":
            return lambda value: fold(wanted, exact) in fold(value, exact)
        case kind:
            try:
                pattern = re.compile(wanted, 0 if exact else re.IGNORECASE)
            except re.error as error:
                raise InvalidArgument(f"Invalid regular expression: {wanted}") from error
            search = pattern.fullmatch if kind == "FULL_REGEXP" else pattern.search
            return lambda value: search(value) is not None


def in_order(
    lines: list[Line], orders: Sequence[Json], dimensions: Sequence[str], metrics: Sequence[str]
) -> list[Line]:
    """The lines as asked; ties, and everything if nothing is asked, by dimension values so that paging holds."""
    ordered = sorted(lines, key=lambda line: tuple(line.dimensions.values()))
    for order in reversed(orders):
        descending = bool(order.get("desc", False))
        if "metric" in order:
            name = str(order["metric"].get("metricName", ""))
            known, key = metrics, metric_key(name)
        elif "dimension" in order:
            name = str(order["dimension"].get("dimensionName", ""))
            known, key = dimensions, dimension_key(name, enum(order["dimension"].get("orderType", 0), ORDER_TYPES))
        else:
            raise InvalidArgument("An orderBy must have one of metric, dimension.")
        if name not in known:
            raise InvalidArgument(f"Order by field {name} is not in the request.")
        ordered.sort(key=key, reverse=descending)
    return ordered


def metric_key(name: str) -> Callable[[Line], Any]:
    return lambda line: line.metrics[name]


def dimension_key(name: str, kind: str) -> Callable[[Line], Any]:
    if kind == "NUMERIC":
        return lambda line: numeric_or_first(line.dimensions[name])
    if kind == "CASE_INSENSITIVE_ALPHANUMERIC":
        return lambda line: line.dimensions[name].lower()
    return lambda line: line.dimensions[name]


def numeric_or_first(text: str) -> float:
    """Google sorts what is no number before the numbers."""
    try:
        return float(text)
    except ValueError:
        return float("-inf")


def metric_type(name: str, as_number: bool) -> str | int:
    kind = TYPES.get(name, "TYPE_INTEGER")
    return METRIC_TYPES[kind] if as_number else kind


def as_text(value: float) -> str:
    """Values travel as text: whole numbers bare, money with its cents."""
    return str(value) if isinstance(value, int) else str(round(value, 2))


def whole(request: Json, name: str) -> int:
    """An int64, which JSON carries as text."""
    try:
        value = int(request.get(name) or 0)
    except (TypeError, ValueError) as error:
        raise InvalidArgument(f"Invalid value at '{name}' (TYPE_INT64), {request.get(name)!r}") from error
    if value < 0:
        raise InvalidArgument(f"The {name} must be a non-negative number.")
    return value


def number(value: Json | None) -> float:
    """A NumericValue: int64Value (text in JSON) or doubleValue."""
    try:
        return float((value or {}).get("int64Value", (value or {}).get("doubleValue", "")))
    except (TypeError, ValueError) as error:
        raise InvalidArgument("A NumericValue must have one of int64Value, doubleValue.") from error


def enum(value: str | int, names: Sequence[str]) -> str:
    """An enum's name, whichever way it was sent; the unspecified value is ''."""
    if isinstance(value, int):
        return names[value] if 0 <= value < len(names) else ""
    return "" if value.endswith("_UNSPECIFIED") else value


def fold(text: str, exact: bool) -> str:
    return text if exact else text.lower()
