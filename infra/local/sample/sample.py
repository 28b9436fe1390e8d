"""Load the sample: shift its days so that it ends yesterday, plant the incidents, name fields as the API does."""

import csv
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Literal

from infra.local.sample.campaigns import named
from infra.local.sample.details import add_details
from infra.local.sample.incident import Incident, Method, declared
from infra.local.sample.mail_visits import mailed
from infra.local.sample.report import REPORTS

FOLDER = Path(__file__).parent
FIRST_DAY = date(2020, 11, 1)
DAYS = 92
WRAP = timedelta(days=91)  # 13 weeks: weekdays stay true
LANDING_PAGES = 40

Variant = Literal["clean", "dirty"]
Row = dict[str, object]

COUNTS = {
    "sessions": "sessions",
    "engaged_sessions": "engagedSessions",
    "users": "totalUsers",
    "new_users": "newUsers",
    "pageviews": "screenPageViews",
    "purchases": "keyEvents",
    "events": "eventCount",
}
NAMES = {
    "source": "sessionSource",
    "medium": "sessionMedium",
    "campaign": "sessionCampaignName",
    "channel": "sessionDefaultChannelGroup",
    "device": "deviceCategory",
    "browser": "browser",
    "event": "eventName",
}


@dataclass(frozen=True)
class Poison:
    """The row of the dirty variant that no record can accept."""

    report: str
    dimensions: dict[str, str]
    metric: str
    value: int


class Sample:
    """Rows of every report for 91 or 92 days that end yesterday, weekdays kept.

    Where the shift by whole weeks leaves days after yesterday, these move 13 weeks back to the front; the one
    that would fall on the first day is dropped.
    """

    def __init__(
        self,
        today: date,
        reports: dict[str, list[Row]],
        incidents: list[Incident],
        poison: Poison | None,
    ) -> None:
        self.today = today
        self.poison = poison
        self._reports = reports
        self._incidents = incidents

    @classmethod
    def load(cls, today: date | None = None, variant: Variant = "clean") -> "Sample":
        """Read the sample as it is served on `today` (the current UTC day if left out)."""
        today = today or datetime.now(UTC).date()
        dates = dates_served(today)
        incidents = declared(today - timedelta(days=1))
        reports = _tables(dates)
        yesterday = today - timedelta(days=1)
        reports["ga_traffic_sources"] = mailed(named(reports["ga_traffic_sources"], yesterday), yesterday)
        for incident in incidents:
            incident.apply(reports[incident.report])
        for name in ("ga_page_performance", "ga_device_metrics", "ga_funnel_events"):
            key = "eventCount" if name == "ga_funnel_events" else "sessions"
            reports[name] = [row for row in reports[name] if row[key]]
        reports["ga_landing_pages"] = _landing_pages(reports["ga_page_performance"])
        reports["ga_page_performance"] = [
            row for row in reports["ga_page_performance"] if row["pagePath"] != "(not set)"
        ]
        add_details(reports, today - timedelta(days=1))
        for name, rows in reports.items():
            reports[name] = [_finished(row, name) for row in rows]
        return cls(today, reports, incidents, _poisoned(reports) if variant == "dirty" else None)

    @property
    def first_day(self) -> date:
        return min(dates_served(self.today).values())

    @property
    def last_day(self) -> date:
        return self.today - timedelta(days=1)

    def report(self, name: str) -> list[Row]:
        """All rows of a report in order of date: dimensions are text (date as YYYYMMDD), metrics numbers.

        Copies: a caller may change them.
        """
        return [dict(row) for row in self._reports[name]]

    def between(self, name: str, first: str, last: str) -> Sequence[Mapping[str, object]]:
        """Rows of a report from `first` to `last`, both YYYYMMDD and inclusive; not copies."""
        rows = self._reports[name]
        start = bisect_left(rows, first, key=_date_of)
        return rows[start : bisect_right(rows, last, lo=start, key=_date_of)]

    def incidents(self) -> list[Incident]:
        """The planted incidents, with their days."""
        return list(self._incidents)

    @staticmethod
    def method(report: str, field: str) -> Method:
        """Whether a field's figures are Google's published ones or derived from them."""
        for row in _read("fields.csv"):
            if (row["report"], row["field"]) == (report, field):
                return "real" if row["method"] == "real" else "derived"
        raise KeyError((report, field))


def dates_served(today: date) -> dict[int, date]:
    """The date on which each sample day (0 to 91) is served; a dropped day is absent."""
    yesterday = today - timedelta(days=1)
    last = FIRST_DAY + timedelta(days=DAYS - 1)
    shift = timedelta(weeks=-((last - yesterday).days // 7))
    dates: dict[int, date] = {}
    for day in range(DAYS):
        served = FIRST_DAY + shift + timedelta(days=day)
        if served <= yesterday:
            dates[day] = served
        elif served - WRAP < FIRST_DAY + shift:
            dates[day] = served - WRAP
    return dates


def _tables(dates: dict[int, date]) -> dict[str, list[Row]]:
    """The files as rows under the API's names, in order of date; page 0, `(not set)`, is still among the pages."""
    paths = {row["page"]: row["path"] for row in _read("pages.csv")}
    aov = {row["day"]: float(row["aov"]) for row in _read("days.csv")}
    files = {
        "ga_property_totals": "days.csv",
        "ga_traffic_sources": "sources.csv",
        "ga_device_metrics": "device_days.csv",
        "ga_page_performance": "page_days.csv",
        "ga_funnel_events": "event_days.csv",
    }
    tables: dict[str, list[Row]] = {}
    for name, file in files.items():
        rows: list[Row] = []
        for line in _read(file):
            served = dates.get(int(line["day"]))
            if served is None:
                continue
            row: Row = {"date": served, "_day": int(line["day"])}
            row |= {field: line[column] for column, field in NAMES.items() if column in line}
            if "page" in line:
                row |= {"pagePath": paths[line["page"]], "_page": int(line["page"])}
            row |= {field: int(line[column]) for column, field in COUNTS.items() if column in line}
            row["_aov"] = float(line.get("aov", aov[line["day"]]))
            rows.append(row)
        # A stable sort: within a day the files' own order stays.
        tables[name] = sorted(rows, key=lambda row: str(row["date"]))
    return tables


def _landing_pages(pages: list[Row]) -> list[Row]:
    """The most entered pages and `(not set)`. The published page totals are entrances, so they serve as both."""
    return [{"landingPage": row["pagePath"], **row} for row in pages if int(str(row["_page"])) <= LANDING_PAGES]


def _finished(row: Row, report: str) -> Row:
    """The row with exactly the report's fields: date as the API writes it, revenue from key events."""
    row["date"] = str(row["date"]).replace("-", "")
    if "keyEvents" in row:
        row["purchaseRevenue"] = round(int(str(row["keyEvents"])) * float(str(row["_aov"])), 2)
    fields = REPORTS[report]
    return {field: row[field] for field in (*fields.dimensions, *fields.metrics)}


def _poisoned(reports: dict[str, list[Row]]) -> Poison:
    """Make one page row impossible: fewer than no sessions. No incident and no judged week is near it."""
    row = [row for row in reports["ga_page_performance"] if row["pagePath"] == "/Google+Redesign/New"][20]
    row["sessions"] = -5
    return Poison(
        report="ga_page_performance",
        dimensions={"date": str(row["date"]), "pagePath": str(row["pagePath"])},
        metric="sessions",
        value=-5,
    )


def _date_of(row: Row) -> str:
    return str(row["date"])


def _read(name: str) -> list[dict[str, str]]:
    with (FOLDER / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
