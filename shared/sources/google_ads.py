"""Which reports of Google Ads Scout pulls: the record of each, its query, and how a row becomes a document.

Fields are those of https://developers.google.com/google-ads/api/fields/v26/overview.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

from shared.sources.records import (
    GoogleAdsAdGroup,
    GoogleAdsCampaign,
    GoogleAdsKeyword,
    GoogleAdsLandingPage,
    GoogleAdsRow,
    GoogleAdsSearchTerm,
)
from shared.sources.row_id import row_id
from shared.sources.source import DETAIL_DAYS, Feed

MICROS = Decimal(1_000_000)
DATE = "segments.date"
TIME_ZONE = "customer.time_zone"
COMMON = {
    "currency": "customer.currency_code",
    "campaign_id": "campaign.id",
    "campaign_name": "campaign.name",
    "impressions": "metrics.impressions",
    "clicks": "metrics.clicks",
    "cost": "metrics.cost_micros",
    "conversions": "metrics.conversions",
    "conversions_value": "metrics.conversions_value",
}
"""Field of every record -> Google's."""


@dataclass(frozen=True)
class Report(Feed):
    """One report: what it is read from, the fields that are its own, and which of them tell a day's rows apart.

    days: how many are asked for at once. More than one, so that a day on which a sync is cut in two is seen whole.
    reaches_back_days: how far back it is pulled at most; None where that is as far as the others.
    """

    record: type[GoogleAdsRow]
    restates: bool = True
    account: tuple[str, ...] = ("customer_id",)
    resource: str = ""
    own: Mapping[str, str] = field(default_factory=dict)
    identity: tuple[str, ...] = ()
    days: int = 7
    reaches_back_days: int | None = None

    @property
    def fields(self) -> dict[str, str]:
        """Field of the record -> Google's, the metrics among them."""
        return COMMON | dict(self.own)

    def query(self, first: date, last: date) -> str:
        """The report of some days, both inclusive, in order of day; each row tells the account's time zone, too."""
        names = ", ".join((DATE, TIME_ZONE, *self.fields.values()))
        days = f"{DATE} BETWEEN '{first}' AND '{last}'"
        return f"SELECT {names} FROM {self.resource} WHERE {days} ORDER BY {DATE}"  # noqa: S608 - declared names, days

    def document(self, row: Mapping[str, Any], customer_id: str) -> tuple[str, dict[str, Any]]:
        """Id and fields of a row's document.

        Raw is raw: what is no number is kept as Google gave it; the stream refuses it where people can see it.
        """
        day = str(found(row, DATE) or "")
        values = {name: self._value(name, found(row, path)) for name, path in self.fields.items()}
        name = row_id(day, customer_id, *(str(values[part]) for part in self.identity))
        return name, {"date": day, "customer_id": customer_id, **values}

    def _value(self, name: str, given: Any) -> Any:
        """A value in the record's type. What is zero or empty may be absent from Google's JSON; a share or a budget
        that is absent is not known.
        """
        info = self.record.model_fields[name]
        if given is None:
            return None if not info.is_required() else _kind(info.annotation)()
        try:
            if self.fields[name].endswith("_micros"):
                return float(int(given) / MICROS)
            # By way of text: a fraction is no count.
            return _kind(info.annotation)(str(given))
        except (TypeError, ValueError):
            return given


def _kind(annotation: Any) -> type[int] | type[float] | type[str]:
    if annotation is int:
        return int
    return str if annotation is str else float


def found(row: Mapping[str, Any], path: str) -> Any:
    """The value at `ad_group_criterion.keyword.text`, which is `adGroupCriterion.keyword.text` in JSON."""
    value: Any = row
    for part in path.split("."):
        head, *rest = part.split("_")
        value = value.get(head + "".join(word.capitalize() for word in rest)) if isinstance(value, Mapping) else None
    return value


REPORTS: Sequence[Report] = (
    Report(
        GoogleAdsCampaign,
        resource="campaign",
        own={
            "status": "campaign.status",
            "channel_type": "campaign.advertising_channel_type",
            "device": "segments.device",
            "daily_budget": "campaign_budget.amount_micros",
            "search_lost_is_budget": "metrics.search_budget_lost_impression_share",
            "search_lost_is_rank": "metrics.search_rank_lost_impression_share",
        },
        identity=("campaign_id", "device"),
        days=14,
    ),
    Report(
        GoogleAdsAdGroup,
        resource="ad_group",
        own={"ad_group_id": "ad_group.id", "ad_group_name": "ad_group.name", "status": "ad_group.status"},
        identity=("ad_group_id",),
        days=14,
    ),
    Report(
        GoogleAdsKeyword,
        resource="keyword_view",
        own={
            "ad_group_id": "ad_group.id",
            "criterion_id": "ad_group_criterion.criterion_id",
            "keyword_text": "ad_group_criterion.keyword.text",
            "match_type": "ad_group_criterion.keyword.match_type",
            "status": "ad_group_criterion.status",
        },
        identity=("ad_group_id", "criterion_id"),
        days=7,
    ),
    Report(
        GoogleAdsSearchTerm,
        resource="search_term_view",
        own={
            "ad_group_id": "ad_group.id",
            "search_term": "search_term_view.search_term",
            "status": "search_term_view.status",
        },
        identity=("ad_group_id", "search_term"),
        days=3,
    ),
    Report(
        GoogleAdsLandingPage,
        resource="landing_page_view",
        own={"final_url": "landing_page_view.unexpanded_final_url"},
        identity=("campaign_id", "final_url"),
        days=7,
        reaches_back_days=DETAIL_DAYS,
    ),
)
"""Ordered as they are pulled. Larger ones are asked for in fewer days at once: an answer comes whole or not at all."""
