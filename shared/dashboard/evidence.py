"""Evidence as people read it: windows, figures side by side, the test.

Detectors decide what their evidence holds. Known names get words and units; unknown ones are shown as they are
named, so that no evidence is ever hidden.
"""

import re
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

ISO_DAY = re.compile(r"^\d{4}-\d{2}-\d{2}$")
FIRST_NAMES = ("first", "start", "from", "first_day", "since", "begin")
LAST_NAMES = ("last", "end", "to", "last_day", "until")
HIDDEN = ("windows", "metrics", "detector_id", "schema_version")

WORDS = {
    "cur": "Current",
    "current": "Current",
    "base": "Baseline",
    "baseline": "Baseline",
    "cvr": "Conversion rate",
    "er": "Engagement rate",
    "p_value": "p-value",
    "q_value": "q-value (false discovery rate)",
    "phi": "Overdispersion",
    "ctr": "CTR",
    "z": "z",
    "n": "Sample size",
}

Values = dict[str, Any]


@dataclass(frozen=True)
class Window:
    """Days that were compared, inclusive."""

    name: str
    first: date
    last: date

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
class Reading:
    """All of an opportunity's evidence."""

    windows: tuple[Window, ...]
    tables: tuple[Table, ...]
    facts: tuple[tuple[str, str], ...]


def read(evidence: Values) -> Reading:
    """Evidence as windows, tables and single facts."""
    tables: list[Table] = []
    facts: list[tuple[str, str]] = []
    for name, value in evidence.items():
        if name in HIDDEN:
            continue
        if isinstance(value, dict) and value and all(isinstance(inner, dict) for inner in value.values()):
            tables.append(_side_by_side(name, value))
        elif isinstance(value, dict):
            rows = tuple((words(key), figure(key, inner)) for key, inner in value.items())
            if rows:
                tables.append(Table(words(name), ("", ""), rows))
        elif isinstance(value, list) and value and all(isinstance(inner, dict) for inner in value):
            tables.append(_rows(name, value))
        else:
            facts.append((words(name), figure(name, value)))
    return Reading(windows(evidence), tuple(tables), tuple(facts))


def windows(evidence: Values) -> tuple[Window, ...]:
    """The windows that the evidence names, in time."""
    named = evidence.get("windows")
    found = []
    for name, value in (named if isinstance(named, dict) else {}).items():
        first, last = _ends(value)
        if first and last and first <= last:
            found.append(Window(words(name), first, last))
    return tuple(sorted(found, key=lambda window: window.first))


def words(name: str) -> str:
    """`base_sessions` -> `Baseline sessions`."""
    if name in WORDS:
        return WORDS[name]
    text = " ".join(WORDS.get(part, part) if position == 0 else part for position, part in enumerate(name.split("_")))
    return text[:1].upper() + text[1:]


def figure(name: str, value: Any) -> str:
    """A value as a person reads it: rates as percent, thousands apart, dates short."""
    if value is None:
        return "not measured"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float | int):
        return _number(name, value)
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
    """`2 - 8 Mar 2026 (7 days)`, with as little repeated as possible."""
    first = f"{window.first.day}"
    if (window.first.year, window.first.month) != (window.last.year, window.last.month):
        first += f" {window.first:%b}"
    if window.first.year != window.last.year:
        first += f" {window.first:%Y}"
    return f"{first} \u2013 {day(window.last)}"


def _number(name: str, value: float) -> str:
    if name in ("p_value", "q_value") or name.endswith(("_p", "_q")):
        return "< 0.0001" if 0 <= value < 0.0001 else f"{value:.4f}"
    if name in ("cvr", "er", "rate", "share") or name.endswith(("_rate", "_share", "_cvr", "_er", "_ctr")):
        return f"{value * 100:.2f} %"
    if isinstance(value, int) or float(value).is_integer():
        return f"{int(value):,}"
    return f"{value:,.2f}" if abs(value) >= 1 else f"{value:.4g}"


def _side_by_side(name: str, value: dict[str, Values]) -> Table:
    columns = list(value)
    names = list(dict.fromkeys(key for inner in value.values() for key in inner))
    rows = tuple((words(key), *(figure(key, value[column].get(key)) for column in columns)) for key in names)
    return Table(words(name), ("", *map(words, columns)), rows)


def _rows(name: str, value: list[Values]) -> Table:
    columns = list(dict.fromkeys(key for inner in value for key in inner))
    rows = tuple(tuple(figure(key, inner.get(key)) for key in columns) for inner in value)
    return Table(words(name), tuple(map(words, columns)), rows)


def _ends(value: Any) -> tuple[date | None, date | None]:
    if isinstance(value, list | tuple) and len(value) == 2:
        return _day(value[0]), _day(value[1])
    if not isinstance(value, dict):
        return None, None
    first = next((_day(value[name]) for name in FIRST_NAMES if name in value), None)
    last = next((_day(value[name]) for name in LAST_NAMES if name in value), None)
    if first and last is None and isinstance(value.get("days"), int):
        last = first + timedelta(days=value["days"] - 1)
    return first, last


def _day(value: Any) -> date | None:
    return date.fromisoformat(value) if isinstance(value, str) and ISO_DAY.match(value) else None
