"""Channels out of raw documents: what ads took for them, whom they won, what those are worth; in plain Python, too."""

from collections import defaultdict
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

import pytest

from shared.adapters.bigquery import BigQueryWarehouse
from shared.analytics.entities import Group
from shared.analytics.entities.web import WEB
from tests.support.bigquery import bigquery_emulator
from tests.support.etl_lab import EtlLab

TODAY = date(2026, 3, 10)
GROUP = [Group("web", tuple(entity for entity in WEB if entity.entity_type == "channel"))]
VISITED = ("Direct", "Paid Search", "Organic Search")
ADS = {
    "SEARCH": "Paid Search",
    "SHOPPING": "Paid Shopping",
    "DISPLAY": "Display",
    "VIDEO": "Paid Video",
    "PERFORMANCE_MAX": "Cross-network",
    "DEMAND_GEN": "Cross-network",
}
NOTED = {
    "named": ({"channel": "Paid Search"}, "Paid Search"),
    "named-wins": ({"channel": "Podcast", "utm_source": "google", "utm_medium": "cpc"}, "Podcast"),
    "cpc": ({"utm_source": "www.google.com", "utm_medium": "CPC"}, "Paid Search"),
    "shop": ({"utm_source": "google", "utm_medium": "cpc", "utm_campaign": "Summer Shop"}, "Paid Shopping"),
    "organic": ({"utm_source": "bing", "utm_medium": "organic"}, "Organic Search"),
    "social": ({"utm_source": "facebook", "utm_medium": "paid_social"}, "Paid Social"),
    "inbox": ({"utm_source": "mail.google.com", "utm_medium": "referral"}, "Referral"),
    "direct": ({"utm_source": "(direct)", "utm_medium": "(none)"}, "Direct"),
    "mail": ({"utm_source": "news", "utm_medium": "email"}, "Email"),
    "odd": ({"utm_source": "flyer", "utm_medium": "paper"}, "Unassigned"),
    "half": ({"utm_source": "google"}, None),
    "none": ({}, None),
}


def ago(days):
    return TODAY - timedelta(days=days)


DAYS = [ago(number) for number in (100, 60, 30, 9, 3, 2, 1)]
ADVERTISED = [ago(number) for number in (40, 30, 9, 2)]
"""Nothing is known of the last day yet, nor of those before the account was read."""
ORDERS = (
    # Customer, days ago, paid.
    ("named", 500, "40.10"),
    ("named", 400, "60.25"),
    ("named", 134, "999.00"),
    ("cpc", 380, "20.00"),
    ("cpc", 30, "31.05"),
    ("organic", 366, "80.00"),
    ("organic", 300, "10.10"),
    ("shop", 9, "15.00"),
    ("named-wins", 9, "16.00"),
    ("social", 3, "17.00"),
    ("direct", 120, "18.00"),
    ("inbox", 3, "18.50"),
    ("mail", 110, "19.00"),
    ("odd", 2, "21.00"),
    ("half", 2, "22.00"),
    ("none", 2, "23.00"),
)
REFUNDS = (("named-400", 399, "10.05"), ("named-134", 100, "1.00"))
CHARGES = [
    {
        "id": f"{who}-{days}",
        "charge_id": f"{who}-{days}",
        "customer_id": who,
        "date": ago(days),
        "amount": Decimal(paid),
    }
    for who, days, paid in ORDERS
]


def documents():
    """A row a channel and day, a campaign of each kind, and customers of whom each is noted in another way."""
    raw = defaultdict(list)
    for number, day in enumerate(DAYS):
        for place, channel in enumerate(VISITED):
            raw["ga_traffic_sources"].append({
                "id": f"{day}-{channel}", "date": day.isoformat(), "session_source": "s", "session_medium": str(place),
                "session_campaign_name": "c", "session_default_channel_group": channel,
                "sessions": 50 + number * 7 + place,
                "engaged_sessions": 30 + place, "total_users": 45 + number, "new_users": 20 + place,
                "key_events": place + 0.5, "purchase_revenue": 19.99 * (place + number),
            })  # fmt: skip
    for day in ADVERTISED:
        for place, kind in enumerate(ADS):
            for device in ("MOBILE", "DESKTOP") if day != ago(9) or kind == "SEARCH" else ():
                raw["google_ads_campaigns"].append({
                    "id": f"{day}-{kind}-{device}", "date": day.isoformat(), "customer_id": "1", "campaign_id": kind,
                    "currency": "EUR" if kind == "VIDEO" else "USD", "campaign_name": kind, "channel_type": kind,
                    "device": device, "status": "ENABLED", "impressions": 9, "clicks": 3, "cost": 0.1 + place * 1.37,
                    "conversions": 0.0, "conversions_value": 0.0,
                })  # fmt: skip
    for who, (metadata, _) in NOTED.items():
        raw["stripe_customers"].append(made(who, 600, customer_id=who, email=f"hash of {who}", metadata=metadata))
    for one in CHARGES:
        raw["stripe_charges"].append(charge(one))
    for of, days, amount in REFUNDS:
        raw["stripe_refunds"].append(
            made(
                f"re-{of}", days, refund_id=f"re-{of}", charge_id=of, amount=amount, currency="USD", status="succeeded"
            )
        )
    raw["stripe_subscriptions"].append(
        made("sub", 30, subscription_id="sub", customer_id="direct", status="active", currency="USD", price_id="month",
             monthly_price="5", mrr="5", started_at=at(120), renewal_amount="5")
    )  # fmt: skip
    return raw


def at(days):
    return datetime.combine(ago(days), time(12), UTC)


def made(name, days, **fields):
    return {"id": name, "date": ago(days).isoformat(), "created_at": at(days), "source": "stripe", **fields}


def charge(one):
    days, amount = (TODAY - one["date"]).days, str(one["amount"])
    money = {"amount": amount, "amount_captured": amount, "amount_refunded": "0", "currency": "USD"}
    state = {"status": "succeeded", "paid": True, "captured": True, "refunded": False, "disputed": False}
    names = {"charge_id": one["id"], "customer_id": one["customer_id"], "payment_intent_id": f"pi-{one['id']}"}
    return made(one["id"], days, **names, **money, **state)


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A tenant of Google Analytics and charges alone, as `before` has it; the other sources came after that."""
    with bigquery_emulator(tmp_path_factory.mktemp("bigquery") / "log") as server:
        warehouse = BigQueryWarehouse.connect(server.project, server.bigquery_endpoint, "US")
        made, raw = EtlLab(warehouse, GROUP, TODAY), documents()
        made.arrive({name: raw.pop(name) for name in ("ga_traffic_sources", "stripe_charges")})
        made.run("etl-1")
        made.before = made.metrics()
        made.arrive(raw, run_id="sync-2")
        made.result = made.run("etl-2")
        yield made


# --- the same in plain Python ----------------------------------------------------------------------------------------


def worth(day, channel, charges):
    """New customers of the day, a year's spending of those whose year is over, and the share that came back."""
    new, spent, retained = 0, [], []
    for who, (_, noted) in NOTED.items():
        paid = sorted((one for one in charges if one["customer_id"] == who), key=lambda one: one["date"])
        if noted != channel or not paid:
            continue
        first = paid[0]["date"]
        new += first == day
        if 365 <= (day - first).days <= 730:
            given = [(ago(days), Decimal(amount)) for of, days, amount in REFUNDS if of.startswith(f"{who}-")]
            flows = [(one["date"], one["amount"]) for one in paid] + [(on, -amount) for on, amount in given]
            spent.append(sum(amount for on, amount in flows if (on - first).days <= 365))
        if 90 <= (day - first).days <= 455:
            retained.append(who == "direct" or (len(paid) > 1 and (paid[1]["date"] - first).days <= 90))
    found = {"new_customers": new}
    if spent:
        found["ltv_12m"] = float(sum(spent) / len(spent))
    if retained:
        found["m3_retention"] = sum(retained) / len(retained)
    return found


def expected(charges=CHARGES):
    raw, found = documents(), {}
    for day in DAYS:
        visits = {
            row["session_default_channel_group"]: row for row in raw["ga_traffic_sources"] if row["date"] == str(day)
        }
        costs = defaultdict(lambda: Decimal(0))
        for row in raw["google_ads_campaigns"]:
            if row["date"] == str(day):
                costs[ADS[row["channel_type"]]] += Decimal(str(row["cost"]))
        read = any(ago(40) <= one <= day for one in ADVERTISED) and day <= max(ADVERTISED)
        winning = {noted for _, noted in NOTED.values() if noted and worth(day, noted, charges)["new_customers"]}
        for channel in {*visits, *costs, *winning}:
            row = visits.get(channel, {})
            made = {
                "users": row.get("total_users", 0),
                "new_users": row.get("new_users", 0),
                "sessions": row.get("sessions", 0),
                "engaged_sessions": row.get("engaged_sessions", 0),
                "bounces": row.get("sessions", 0) - row.get("engaged_sessions", 0),
                "conversions": row.get("key_events", 0.0),
                "revenue": row.get("purchase_revenue", 0.0),
                **worth(day, channel, charges),
            }
            if read and not (channel == "Paid Video" and channel in costs):
                made["cost"] = float(costs.get(channel, 0))
            found["channel", day.isoformat(), channel] = pytest.approx(made, abs=1e-6)
    return found


def test_without_an_account_of_ads_or_a_noted_channel_nothing_is_known_of_either(lab):
    assert {name for row in lab.before.values() for name in row} == {
        "users", "new_users", "sessions", "engaged_sessions", "bounces", "conversions", "revenue"
    }  # fmt: skip


def test_every_metric_is_that_of_the_raw_documents_whichever_source_came_first(lab):
    assert lab.metrics() == expected()
    assert lab.result.leaks == ()


def test_a_late_purchase_changes_what_it_must_and_a_full_run_finds_nothing_more(lab):
    before = lab.metrics()
    late = {"id": "organic-late", "customer_id": "organic", "date": ago(30), "amount": Decimal("7.77")}
    lab.arrive({"stripe_charges": [charge(late)]}, run_id="sync-3")
    lab.run("etl-3")
    after = lab.metrics()
    assert after == expected([*CHARGES, late])
    # The first year of this buyer ended yesterday.
    assert {key for key in after if after[key] != before[key]} == {("channel", ago(1).isoformat(), "Organic Search")}
    assert lab.run("etl-4", full=True).changed == 0
