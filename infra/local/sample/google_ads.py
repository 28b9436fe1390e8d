"""The sample's Google Ads account: its reports by day, on the visits that Google Analytics counts of its campaigns.

Everything is drawn search by search and device by device, and summed up: the five reports agree with one another.
Counts, micros, millionths and cents are whole numbers until they are served. What is real stands in README.md.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from infra.local.sample.campaigns import CAMPAIGNS
from infra.local.sample.details import DETAIL_DAYS
from infra.local.sample.incident import Planted
from infra.local.sample.sample import Sample
from infra.local.sample.search_console import SITE

CUSTOMER_ID = "5550104100"
ACCOUNT_NAME = "Merchandise Store"
CURRENCY = "USD"
DECLARED = Path(__file__).with_name("google_ads.yaml")

UNARRIVED = 0.13
"""Clicks that never became a visit, per visit."""
LATE = {0: 0.6, 1: 0.8}
"""Days before the last one -> share of its conversions that are counted by now."""
MILLION = 1_000_000

PLANTED = (
    Planted("campaign_zero_conversions", "campaign", "Display - New visitors", "Six weeks of clicks, not one order."),
    Planted(
        "campaign_cpa_spike", "campaign", "Shopping - All products", "The feed lost its sale prices nine days ago."
    ),
    Planted("campaign_roas_drop", "campaign", "Search - Drinkware", "A cheap bottle has pushed out the dear ones."),
    Planted("campaign_ctr_decline", "campaign", "Search - Apparel", "The same ads for months: fewer people click."),
    Planted(
        "campaign_budget_limited_profitable", "campaign", "Search - Brand", "The budget is spent by the afternoon."
    ),
    Planted("device_tablet_ad_waste", "campaign_device", "Search - Brand | tablet", "The shop's menu covers tablets."),
    Planted("adgroup_zero_conv_waste", "ad_group", "20410005", "The ads for mugs lead to a list that is sold out."),
    Planted("adgroup_ctr_low", "ad_group", "20410003", "Shirts for children are shown the ads of those for men."),
    Planted("adgroup_star_isolated", "ad_group", "20410007", "Backpacks sell, and get an eighth of the budget."),
    Planted("adgroup_search_term_negative", "search_term", "free logo t shirt | 20410002", "They want it for nothing."),
    Planted("adgroup_search_term_harvest", "search_term", "dinosaur game t shirt | 20410002", "No keyword of ours."),
)

Row = dict[str, Any]
Measures = np.ndarray[Any, np.dtype[np.int64]]
"""Impressions, clicks, cost in micros, conversions in millionths, their value in cents."""


@dataclass(frozen=True)
class Part:
    """One search of one keyword of one ad group: the smallest thing that is drawn."""

    group: Mapping[str, Any]
    keyword: Mapping[str, Any]
    search: Mapping[str, Any]

    @property
    def share(self) -> float:
        """Of the campaign's clicks."""
        return float(self.group["share"] * self.search["share"])

    @property
    def cvr(self) -> float:
        """Its usual conversion rate."""
        return float(self.search.get("cvr", self.group["cvr"]))

    def is_served(self, ago: int) -> bool:
        """False of a search that was excluded by then."""
        return ago >= int(self.search.get("until", 0))


def reports(today: date) -> dict[str, list[Row]]:
    """Rows of each resource in order of day, by the names of their fields; whole numbers of Google's int64 as text."""
    sums: dict[str, dict[tuple[Any, ...], tuple[Row, Measures]]] = defaultdict(dict)
    visits = _visits(today)
    for campaign in account():
        for day, count in sorted(visits[campaign["campaign"]].items()):
            ago = (today - timedelta(days=1) - day).days
            for part, device, measures in _day(campaign, ago, count):
                for resource, key, fields in _rows(campaign, part, device, day, ago):
                    _, summed = sums[resource].setdefault(key, (fields, np.zeros(5, dtype=np.int64)))
                    summed += measures
    return {
        resource: sorted(
            ({**fields, **_metrics(summed)} for fields, summed in rows.values() if _is_told(resource, summed)),
            key=lambda row: str(row["segments.date"]),
        )
        for resource, rows in sums.items()
    }


@cache
def account() -> list[dict[str, Any]]:
    """The campaigns as they are declared."""
    declared: list[dict[str, Any]] = yaml.safe_load(DECLARED.read_text(encoding="utf-8"))
    assert [one["campaign"] for one in declared] == [one.name for one in CAMPAIGNS]
    return declared


def _visits(today: date) -> dict[str, dict[date, int]]:
    """Campaign -> day -> visits, as Google Analytics counts them."""
    found: dict[str, dict[date, int]] = defaultdict(dict)
    for row in Sample.load(today).report("ga_traffic_sources"):
        if (row["sessionSource"], row["sessionMedium"]) == ("google", "cpc"):
            day = date.fromisoformat(str(row["date"]))
            found[str(row["sessionCampaignName"])][day] = int(str(row["sessions"]))
    return found


def _day(campaign: Mapping[str, Any], ago: int, visits: int) -> Iterable[tuple[Part, str, Measures]]:
    """What one campaign's day brought, by part and device."""
    random = np.random.default_rng([2022, int(campaign["id"]), ago])
    parts, devices = _parts(campaign), campaign["devices"]
    cells = [(part, device) for part in parts for device in devices]
    weights = np.array([part.share * devices[device][0] * part.is_served(ago) for part, device in cells])
    total = visits + int(random.poisson(visits * UNARRIVED))
    due = total * weights / weights.sum()
    clicks = random.multinomial(total, weights / weights.sum())
    ctr = np.array([part.group["ctr"] for part, _ in cells])
    impressions = clicks + random.poisson(due * (1 / ctr - 1) * _change(campaign, "impressions", ago))
    cost = clicks * np.array([part.group["cpc"] for part, _ in cells]) * random.lognormal(0, 0.08)
    if campaign.get("spends_budget"):
        cost *= min(1.0, campaign["budget"] * random.uniform(0.96, 1.03) / max(cost.sum(), 0.01))
    rates = np.array([min(0.9, part.cvr * devices[device][1]) for part, device in cells])
    rates *= _change(campaign, "conversions", ago) * LATE.get(ago, 1.0)
    conversions = np.round(_credited(random, random.binomial(clicks, rates)) * MILLION)
    order = np.array([part.group["order"] for part, _ in cells]) * random.lognormal(0, 0.3, len(cells))
    cents = np.round(conversions / MILLION * order * _change(campaign, "value", ago) * 100)
    measures = np.stack([impressions, clicks, np.round(cost * MILLION), conversions, cents], axis=1).astype(np.int64)
    return ((part, device, measures[number]) for number, (part, device) in enumerate(cells))


def _parts(campaign: Mapping[str, Any]) -> list[Part]:
    return [
        Part(group, keyword, search)
        for group in campaign["groups"]
        for keyword in group.get("keywords", [{}])
        for search in keyword.get("searches", [{"share": 1.0}])
    ]


def _change(campaign: Mapping[str, Any], measure: str, ago: int) -> float:
    change = campaign.get("changes", {}).get(measure)
    return float(change["times"]) if change and ago <= change["from"] else 1.0


def _credited(random: np.random.Generator, counts: Measures) -> Any:
    """Conversions with the part that is credited to another click taken off: every third cell shares its last one."""
    shared = (counts > 0) & (random.random(len(counts)) < 1 / 3)
    return counts - np.where(shared, random.choice([0.5, 0.333333, 0.416667], len(counts)), 0.0)


def _rows(
    campaign: Mapping[str, Any], part: Part, device: str, day: date, ago: int
) -> Iterable[tuple[str, tuple[Any, ...], Row]]:
    """The rows that a part counts in: resource, what tells the row from others, and its fields."""
    base: Row = {
        "segments.date": day.isoformat(),
        "customer.currency_code": CURRENCY,
        "customer.time_zone": "Etc/UTC",
        "campaign.id": campaign["id"],
        "campaign.name": campaign["campaign"],
        "campaign.status": "ENABLED",
    }
    yield "campaign", (day, campaign["id"], device), base | _campaign(campaign, device, ago)
    group = {"ad_group.id": part.group["id"], "ad_group.name": part.group["name"], "ad_group.status": "ENABLED"}
    yield "ad_group", (day, part.group["id"]), base | group
    if ago < DETAIL_DAYS:
        url = {"landing_page_view.unexpanded_final_url": SITE + part.group["page"]}
        yield "landing_page_view", (day, campaign["id"], part.group["page"]), base | url
    if part.keyword:
        criterion = {
            "ad_group_criterion.criterion_id": part.keyword["id"],
            "ad_group_criterion.keyword.text": part.keyword["text"],
            "ad_group_criterion.keyword.match_type": part.keyword["match"],
            "ad_group_criterion.status": "ENABLED",
        }
        yield "keyword_view", (day, part.keyword["id"]), base | group | criterion
    if "status" in part.search:
        term = {"search_term_view.search_term": part.search["text"], "search_term_view.status": part.search["status"]}
        yield "search_term_view", (day, part.group["id"], part.search["text"]), base | group | term


def _campaign(campaign: Mapping[str, Any], device: str, ago: int) -> Row:
    found: Row = {
        "campaign.advertising_channel_type": campaign["channel"],
        "segments.device": device,
        "campaign_budget.amount_micros": str(round(campaign["budget"] * MILLION)),
    }
    if "lost" in campaign:
        random = np.random.default_rng([2023, int(campaign["id"]), ago, sum(map(ord, device))])
        budget, rank = (round(float(np.clip(random.normal(share, 0.02), 0, 0.9)), 4) for share in campaign["lost"])
        found["metrics.search_budget_lost_impression_share"] = budget
        found["metrics.search_rank_lost_impression_share"] = rank
    return found


def _metrics(summed: Measures) -> Row:
    impressions, clicks, cost, conversions, cents = (int(one) for one in summed)
    return {
        "metrics.impressions": str(impressions),
        "metrics.clicks": str(clicks),
        "metrics.cost_micros": str(cost),
        "metrics.conversions": conversions / MILLION,
        "metrics.conversions_value": cents / 100,
    }


def _is_told(resource: str, summed: Measures) -> bool:
    """Google has no row of what was not shown; the sample leaves out keywords and searches that nobody clicked, too."""
    return bool(summed[1 if resource in ("keyword_view", "search_term_view") else 0])
