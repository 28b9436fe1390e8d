"""Which GA4 reports Scout pulls: derived from the records that hold them.

A record's own text fields are the report's dimensions, its numbers the metrics; `date` is always a dimension.
Adding a report is declaring one record of it.
"""

from dataclasses import dataclass
from functools import cached_property
from types import NoneType
from typing import Any, get_args

from shared.sources.records import (
    GaCountry,
    GaDeviceMetric,
    GaErrorPage,
    GaFunnelEvent,
    GaFunnelEventDevice,
    GaLandingPage,
    GaLandingPageChannel,
    GaLandingPageDevice,
    GaLandingPageSource,
    GaPagePerformance,
    GaPageScroll,
    GaRepeatedTransaction,
    GaRow,
    GaTotals,
    GaTrafficSource,
)
from shared.sources.row_id import row_id
from shared.sources.source import DETAIL_DAYS, Feed, Pull

FUNNEL_EVENTS = ("session_start", "view_item", "add_to_cart", "begin_checkout", "purchase")
PAID_CHANNELS = ("Paid Search", "Paid Shopping", "Paid Social", "Paid Video", "Paid Other", "Display", "Cross-network")
"""Default channel groups of advertising (https://support.google.com/analytics/answer/9756891)."""
ERROR_TITLE = "(^|[^0-9])404([^0-9]|$)|not found|nicht gefunden|introuvable|no encontrada|non trovata"
"""Titles of error pages, as the detector of entrances on them tells them."""
FEW_SESSIONS = 3
"""A day's pairs of fewer sessions are left out: they are the most, and tell nothing."""


@dataclass(frozen=True)
class Only:
    """The rows of a report that are asked for: of these values, of a matching one, or of so much.

    field: a dimension, which need not be among the report's own; with `at_least` one of its metrics.
    matches: RE2, anywhere in the value; case does not matter.
    """

    field: str
    values: tuple[str, ...] = ()
    matches: str = ""
    at_least: int = 0


@dataclass(frozen=True)
class Report(Feed):
    """One report of the Data API and the record that its rows become.

    only: what is left out of it is missing in the record's table, too. reaches_back_days: how far back it is pulled at
    most; None where that is as far as the others.
    """

    record: type[GaRow]
    restates: bool = True
    account: tuple[str, ...] = ("property_id",)
    only: Only | None = None
    reaches_back_days: int | None = None

    @cached_property
    def fields(self) -> dict[str, Any]:
        """Field -> type of the report's own columns, `date` first."""
        own = {
            name: _measured(info.annotation)
            for name, info in self.record.model_fields.items()
            if name not in GaRow.model_fields
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
        self, dimensions: dict[str, str], metrics: dict[str, str], pull: Pull, **flags: bool
    ) -> tuple[str, dict[str, Any]]:
        """Id and fields of one row's document; `flags` are what the answer says of all its rows.

        The id is made of the property, the day and the dimensions, so that the same row always is the same document.
        Raw is raw: a number that does not parse, or lies outside its range, is kept as the source gave it; the stream
        refuses it where people can see it.
        """
        day = _iso(dimensions["date"])
        property_id = pull.settings.property_id or ""
        fields = {
            "date": day,
            "property_id": property_id,
            **flags,
            **{name: dimensions[name] for name in self.dimensions if name != "date"},
            **{name: _number(metrics[name], self.fields[name]) for name in self.metrics},
        }
        return row_id(day, property_id, *(dimensions[name] for name in self.dimensions)), fields


REPORTS = (
    Report(GaTotals),
    Report(GaTrafficSource),
    Report(GaDeviceMetric),
    Report(GaFunnelEvent),
    Report(GaLandingPage),
    Report(GaPagePerformance),
    Report(GaCountry),
    Report(GaLandingPageChannel, only=Only("session_default_channel_group", ("Organic Search", *PAID_CHANNELS))),
    Report(GaLandingPageDevice, only=Only("sessions", at_least=FEW_SESSIONS), reaches_back_days=DETAIL_DAYS),
    Report(GaLandingPageSource, only=Only("sessions", at_least=FEW_SESSIONS), reaches_back_days=DETAIL_DAYS),
    Report(GaFunnelEventDevice, only=Only("event_name", FUNNEL_EVENTS), reaches_back_days=DETAIL_DAYS),
    Report(GaPageScroll, only=Only("event_name", ("scroll",)), reaches_back_days=DETAIL_DAYS),
    Report(GaErrorPage, only=Only("page_title", matches=ERROR_TITLE), reaches_back_days=DETAIL_DAYS),
    Report(GaRepeatedTransaction, only=Only("ecommerce_purchases", at_least=2), reaches_back_days=DETAIL_DAYS),
)


def api_name(field: str) -> str:
    """`page_path` -> `pagePath`, as the Data API spells it."""
    head, *rest = field.split("_")
    return head + "".join(part.capitalize() for part in rest)


def _measured(annotation: Any) -> Any:
    """The type of a field, also of one that older documents lack."""
    kinds = [kind for kind in get_args(annotation) if kind is not NoneType]
    return kinds[0] if kinds else annotation


def _iso(day: str) -> str:
    return f"{day[:4]}-{day[4:6]}-{day[6:]}" if len(day) == 8 and day.isdigit() else day


def _number(text: str, kind: Any) -> int | float | str:
    try:
        return int(text) if kind is int else float(text)
    except ValueError:
        return text
