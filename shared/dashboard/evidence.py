"""Evidence as people read it: the days compared, the figures side by side, the test, the rule.

Detectors decide what their evidence holds (shared/detectors/judgement.py). Known names get words and units; whatever
else there is is shown under its own name, so that no evidence is hidden.
"""

import re
from dataclasses import dataclass
from datetime import date
from typing import Any

ISO_DAY = re.compile(r"^\d{4}-\d{2}-\d{2}$")
HIDDEN = (
    "windows",
    "numbers",
    "test",
    "value",
    "confidence",
    "severity",
    "thresholds",
    "rates",
    "measures",
    "children",
)
RULES = ("guard", "effect")
WHOSE = {"": "This entity", "site_": "The whole site", "rest_": "The rest of the site"}

WORDS = {
    "cur": "Current",
    "current": "Current",
    "base": "Baseline",
    "baseline": "Baseline",
    "before": "Before",
    "long": "Long run",
    "cvr": "Conversion rate",
    "er": "Engagement rate",
    "aov": "Average order",
    "ctr": "Click-through rate",
    "p_value": "p-value",
    "q_value": "q-value",
    "tested": "Entities tested",
    "phi": "Overdispersion",
    "n": "Sample size",
    "lp": "Landing page",
    "guard": "Enough volume",
    "effect": "Large enough",
    "two_proportion_z": "Two proportions (z)",
}

Values = dict[str, Any]


@dataclass(frozen=True)
class Window:
    """Days that were compared, inclusive. `key` is what the evidence calls it."""

    key: str
    first: date
    last: date
    with_data: int | None = None

    @property
    def name(self) -> str:
        """In words."""
        return words(self.key)

    @property
    def days(self) -> int:
        """How many."""
        return (self.last - self.first).days + 1


@dataclass(frozen=True)
class Table:
    """Figures side by side: a head per column, a name per row."""

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Part:
    """Another finding of the same cause, listed by the one that leads."""

    detector_id: str
    entity_type: str
    entity_id: str
    title: str
    change: str
    share: str


@dataclass(frozen=True)
class Reading:
    """All of an opportunity's evidence; `rules` are expressions in the detector's own words."""

    windows: tuple[Window, ...]
    tables: tuple[Table, ...]
    facts: tuple[tuple[str, str], ...]
    rules: tuple[tuple[str, str], ...]


def read(evidence: Values) -> Reading:
    """Evidence as windows, tables, single facts and rules."""
    compared = windows(evidence)
    numbers = _dict(evidence.get("numbers"))
    tables, rest = _side_by_side(numbers, compared)
    facts = [(words(name), figure(name, value)) for name, value in rest.items()]
    test = _dict(evidence.get("test"))
    for name in ("name", "statistic", "p_value", "q_value", "tested"):
        if test.get(name) is not None:
            facts.append(
                ("Test", words(str(test[name]))) if name == "name" else (words(name), figure(name, test[name]))
            )
    for name, value in evidence.items():
        if name not in (*HIDDEN, *RULES):
            if isinstance(value, dict) and value:
                rows = tuple((words(key), figure(key, inner)) for key, inner in value.items())
                tables.append(Table(words(name), (), rows))
            elif value not in ({}, []):
                facts.append((words(name), figure(name, value)))
    return Reading(compared, tuple(tables), tuple(facts), _rules(evidence))


def parts(evidence: Values) -> tuple[Part, ...]:
    """The findings that the evidence's `children` lists."""
    listed = evidence.get("children")
    return tuple(
        Part(
            detector_id=str(child.get("detector_id") or ""),
            entity_type=str(child.get("entity_type") or ""),
            entity_id=str(child.get("entity_id") or ""),
            title=str(child.get("title") or child.get("detector_id") or ""),
            change=figure("change", child["change"]) if child.get("change") is not None else "",
            share=figure("share", child["share"]) if child.get("share") is not None else "",
        )
        for child in (listed if isinstance(listed, list) else [])
        if isinstance(child, dict)
    )


def windows(evidence: Values) -> tuple[Window, ...]:
    """The windows that the evidence names, in time."""
    found = []
    for key, value in _dict(evidence.get("windows")).items():
        ends = _dict(value)
        first, last = _day(ends.get("first")), _day(ends.get("last"))
        if first and last and first <= last:
            with_data = ends.get("days_with_data")
            found.append(Window(key, first, last, with_data if isinstance(with_data, int) else None))
    return tuple(sorted(found, key=lambda window: (window.first, window.last)))


def words(name: str) -> str:
    """`base_sessions` -> `Baseline sessions`."""
    if name in WORDS:
        return WORDS[name]
    parts = [WORDS.get(part, part) for part in name.split("_")]
    text = " ".join([parts[0], *(part[:1].lower() + part[1:] for part in parts[1:])])
    return text[:1].upper() + text[1:]


def figure(name: str, value: Any) -> str:
    """A value as a person reads it: rates as percent, thousands apart, days in words."""
    if value is None:
        return "not measured"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float | int):
        return _number(name, value).replace("-", "\u2212")
    if isinstance(value, str) and ISO_DAY.match(value):
        return day(date.fromisoformat(value))
    if isinstance(value, list | tuple):
        return ", ".join(figure(name, inner) for inner in value) or "none"
    if isinstance(value, dict):
        return ", ".join(f"{words(key)} {figure(key, inner)}" for key, inner in value.items())
    return str(value)


def day(value: date) -> str:
    """`2 Mar 2026`."""
    return f"{value.day} {value:%b %Y}"


def span(window: Window) -> str:
    """`2 - 8 Mar 2026`, with as little repeated as possible."""
    first = f"{window.first.day}"
    if (window.first.year, window.first.month) != (window.last.year, window.last.month):
        first += f" {window.first:%b}"
    if window.first.year != window.last.year:
        first += f" {window.first:%Y}"
    return f"{first} \u2013 {day(window.last)}"


def _number(name: str, value: float) -> str:
    if name in ("p_value", "q_value"):
        return "below 0.0001" if 0 <= value < 0.0001 else f"{value:.4f}"
    if name.split("_")[-1] in ("cvr", "er", "ctr", "rate", "share"):
        return f"{value * 100:.2f} %"
    if float(value).is_integer():
        return f"{int(value):,}"
    return f"{value:,.2f}" if abs(value) >= 0.1 else f"{value:.4g}"


def _side_by_side(numbers: Values, compared: tuple[Window, ...]) -> tuple[list[Table], Values]:
    """`cur_sessions` and `base_sessions` as one row `sessions`; a table for whose figures they are, and the rest."""
    keys = "|".join(sorted((re.escape(window.key) for window in compared), key=len, reverse=True))
    shape = re.compile(rf"^(site_|rest_|)({keys})_(\w+)$") if keys else None
    cells: dict[str, dict[str, Values]] = {}
    rest: Values = {}
    for name, value in sorted(numbers.items()):
        match = shape.match(name) if shape else None
        if match is None:
            rest[name] = value
        else:
            cells.setdefault(match[1], {}).setdefault(match[3], {})[match[2]] = value
    tables = []
    for whose, title in WHOSE.items():
        rows = cells.get(whose, {})
        columns = [window for window in compared if any(window.key in row for row in rows.values())]
        # Counts before what is computed of them.
        order = sorted(rows, key=lambda name: (_number(name, 0.5).endswith("%"), name))
        body = tuple(
            (words(name), *(figure(name, rows[name][w.key]) if w.key in rows[name] else "" for w in columns))
            for name in order
        )
        if body:
            tables.append(Table(title, ("", *(window.name for window in columns)), body))
    return tables, rest


def _rules(evidence: Values) -> tuple[tuple[str, str], ...]:
    rules = [(words(name), str(evidence[name])) for name in RULES if evidence.get(name)]
    rules += [(name, str(of)) for part in ("rates", "measures") for name, of in _dict(evidence.get(part)).items()]
    return (*rules, *((name, figure("", value)) for name, value in _dict(evidence.get("thresholds")).items()))


def _dict(value: Any) -> Values:
    return value if isinstance(value, dict) else {}


def _day(value: Any) -> date | None:
    return date.fromisoformat(value) if isinstance(value, str) and ISO_DAY.match(value) else None
