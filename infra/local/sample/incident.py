"""The disclosed incidents: what incidents.yaml plants, with the days it falls on."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Literal

import yaml

DECLARED = Path(__file__).with_name("incidents.yaml")
Method = Literal["real", "derived"]

# Where each entity type lives: (report, dimension). Real reports are not among them, on purpose.
SERIES = {
    "page": ("ga_page_performance", "pagePath"),
    "device": ("ga_device_metrics", "deviceCategory"),
    "funnel_step": ("ga_funnel_events", "eventName"),
    "event": ("ga_funnel_events", "eventName"),
}


@dataclass(frozen=True)
class Planted:
    """Something that a sample of another source than GA4 holds, and the detector expected to find it.

    entity: "" where today decides which one it is.
    """

    detector: str
    entity_type: str
    entity: str
    story: str

    def is_among(self, found: Iterable[tuple[str, str]]) -> bool:
        """True where findings, as detector and entity, hold it."""
        return any(self.detector == detector and self.entity in ("", entity) for detector, entity in found)


@dataclass(frozen=True)
class Incident:
    """One planted change and the detector expected to find it. Both days are inclusive.

    Exactly one of `factor` (multiplies the metrics) and `points` (added to their share of sessions) is set.
    """

    id: str
    detector: str
    entity_type: str
    entity: str
    metrics: tuple[str, ...]
    factor: float | None
    points: float | None
    first_day: date
    last_day: date
    story: str

    @property
    def size(self) -> str:
        """The change in words, such as `keyEvents x 0.2`."""
        change = f"x {self.factor:g}" if self.factor is not None else f"{self.points:+g} of sessions"
        return f"{', '.join(self.metrics)} {change}"

    @property
    def report(self) -> str:
        return SERIES[self.entity_type][0]

    @property
    def dimension(self) -> str:
        return SERIES[self.entity_type][1]

    def apply(self, rows: Iterable[dict[str, object]]) -> None:
        """Change the incident's metrics in rows of its report, in place; `date` is a `datetime.date` here.

        Rounding carries its remainder to the next row, so that small counts change by the declared size too.
        No count grows beyond the row's sessions through it.
        """
        carried = dict.fromkeys(self.metrics, 0.0)
        for row in rows:
            if row[self.dimension] != self.entity or not self.first_day <= _day(row) <= self.last_day:
                continue
            before = int(str(row["sessions"]))
            for metric in self.metrics:
                value = int(str(row[metric]))
                wanted = carried[metric] + (
                    value * self.factor if self.factor is not None else value + (self.points or 0.0) * before
                )
                whole = max(0, round(wanted))
                carried[metric] = wanted - whole
                row[metric] = whole
            if "sessions" in self.metrics:
                for metric in ("engagedSessions", "totalUsers", "keyEvents"):
                    if metric in row:
                        row[metric] = min(int(str(row[metric])), int(str(row["sessions"])))


def declared(last_day_served: date) -> list[Incident]:
    """The incidents of incidents.yaml, placed before the last day that is served."""
    return [
        Incident(
            id=entry["id"],
            detector=entry["detector"],
            entity_type=entry["entity_type"],
            entity=entry["entity"],
            metrics=tuple(entry["metrics"]),
            factor=entry.get("factor"),
            points=entry.get("points"),
            first_day=last_day_served - timedelta(days=entry["from"]),
            last_day=last_day_served - timedelta(days=entry["to"]),
            story=entry["story"],
        )
        for entry in yaml.safe_load(DECLARED.read_text(encoding="utf-8"))
    ]


def _day(row: dict[str, object]) -> date:
    day = row["date"]
    assert isinstance(day, date)
    return day
