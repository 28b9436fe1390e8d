"""Which GA4 reports Scout pulls: derived from the records that hold them.

A record's own text fields are the report's dimensions, its numbers the metrics; `date` is always a dimension.
Adding a report is declaring one record of it.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from shared.sources.records import (
    GaDeviceMetric,
    GaFunnelEvent,
    GaLandingPage,
    GaPagePerformance,
    GaRow,
    GaTotals,
    GaTrafficSource,
)
from shared.sources.source import Feed, Pull

RECORDS: tuple[type[GaRow], ...] = (
    GaTotals,
    GaTrafficSource,
    GaDeviceMetric,
    GaFunnelEvent,
    GaLandingPage,
    GaPagePerformance,
)


@dataclass(frozen=True)
class Report(Feed):
    """One report of the Data API and the record that its rows become."""

    record: type[GaRow]
    restates: bool = True

    @cached_property
    def fields(self) -> dict[str, Any]:
        """Field -> type of the report's own columns, `date` first."""
        own = {
            name: info.annotation for name, info in self.record.model_fields.items() if name not in GaRow.model_fields
        }
        return {"date": str, **own}

    @cached_property
    def dimensions(self) -> tuple[str, ...]:
        """Field names of the dimensions."""
        return tuple(name for name, kind in self.fields.items() if kind is str)

    @cached_property
    def metrics(self) -> tuple[str, ...]:
        """Field names of the metrics."""
        return tuple(name for name, kind in self.fields.items() if kind is not str)

    def document(
        self,
        dimensions: dict[str, str],
        metrics: dict[str, str],
        pull: Pull,
        *,
        synced_at: datetime,
        sampled: bool,
        thresholded: bool,
    ) -> tuple[str, dict[str, Any]]:
        """Id and fields of one row's document.

        The id is made of the property, the day and the dimensions, so that the same row always is the same document.
        Raw is raw: a number that does not parse, or lies outside its range, is kept as the source gave it; the stream
        refuses it where people can see it.
        """
        day = _iso(dimensions["date"])
        property_id = pull.settings.property_id or ""
        identity = "\x1f".join((property_id, *(dimensions[name] for name in self.dimensions)))
        fields = {
            "tenant_id": pull.tenant_id,
            "source": "ga4",
            "date": day,
            "sync_run_id": pull.run_id,
            "synced_at": synced_at,
            "property_id": property_id,
            "sampled": sampled,
            "thresholded": thresholded,
            **{name: dimensions[name] for name in self.dimensions if name != "date"},
            **{name: _number(metrics[name], self.fields[name]) for name in self.metrics},
        }
        return f"{day}-{hashlib.blake2b(identity.encode(), digest_size=12).hexdigest()}", fields


REPORTS = tuple(Report(record) for record in RECORDS)


def api_name(field: str) -> str:
    """`page_path` -> `pagePath`, as the Data API spells it."""
    head, *rest = field.split("_")
    return head + "".join(part.capitalize() for part in rest)


def _iso(day: str) -> str:
    return f"{day[:4]}-{day[4:6]}-{day[6:]}" if len(day) == 8 and day.isdigit() else day


def _number(text: str, kind: Any) -> int | float | str:
    try:
        return int(text) if kind is int else float(text)
    except ValueError:
        return text
