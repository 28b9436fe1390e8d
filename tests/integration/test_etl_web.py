"""Pages, devices, countries, funnels and the site out of raw documents: each metric as plain Python works it out."""

import itertools
from collections import defaultdict
from datetime import date, timedelta
from decimal import Decimal

import pytest

from shared.adapters.bigquery import BigQueryWarehouse
from shared.analytics.entities import GROUPS
from tests.support.bigquery import bigquery_emulator
from tests.support.etl_lab import EtlLab

GROUP = [group for group in GROUPS if group.name in ("web", "site")]
PROPERTY, ACCOUNT = "properties/1", "1111111111"
TODAY = date(2026, 3, 10)
DAYS = [(TODAY - timedelta(days=ago)).isoformat() for ago in (3, 2, 1)]
FIRST, SECOND, LAST = DAYS
"""On the last day the finer reports have not come yet; on the first, rows lack what older ones were not asked for."""

COSTS = {(FIRST, "/shoes/red"): 3.75, (FIRST, "/"): None, (LAST, "/nobody/came"): 0.5}
"""What ads took for a page: in another currency that is not known, and on days between told ones nothing."""
PAGES = ("/", "/shoes/red", "/shoes/blue", "(not set)")
STEPS = ("session_start", "view_item", "add_to_cart", "begin_checkout", "purchase")


def documents(days):
    """A few rows of each report on three days; no two figures are alike."""
    first, second, last = days
    figures = (7 * number % 101 + 3 for number in itertools.count())
    raw = defaultdict(list)

    def add(collection, day, **fields):
        raw[collection].append({"id": f"{day}-{len(raw[collection])}", "date": day, "property_id": PROPERTY, **fields})

    def sessions(**more):
        count = next(figures)
        orders = count % 7 + 0.5
        part = {"engaged_sessions": count - count % 3, "total_users": count - count % 2, "key_events": orders}
        return {"sessions": count, "purchase_revenue": round(orders * 19.99, 2), **part, **more}

    for day in days:
        old = day == first
        add("ga_property_totals", day, screen_page_views=next(figures), new_users=next(figures), **sessions())
        for page in PAGES:
            seconds = None if old and page == "/" else next(figures)
            add("ga_page_performance", day, page_path=page, screen_page_views=next(figures),
                user_engagement_duration=seconds, **sessions())  # fmt: skip
            add("ga_landing_pages", day, landing_page=page, user_engagement_duration=seconds, **sessions())
        add("ga_landing_pages", day, landing_page="/shoes/red/", user_engagement_duration=0,
            **sessions() | {"sessions": 2, "engaged_sessions": 1})  # fmt: skip
        for device, browser in itertools.product(("mobile", "desktop"), ("Chrome", "Safari")):
            seconds = None if old and (device, browser) == ("mobile", "Safari") else next(figures)
            add("ga_device_metrics", day, device_category=device, browser=browser, new_users=1,
                user_engagement_duration=seconds, **sessions())  # fmt: skip
        for country in ("Canada", "(other)"):
            add("ga_countries", day, country=country, screen_page_views=next(figures),
                user_engagement_duration=next(figures), ecommerce_purchases=next(figures), **sessions())  # fmt: skip
        for name in STEPS if day != last else STEPS[:-1]:
            add("ga_funnel_events", day, event_name=name, event_count=next(figures), sessions=next(figures),
                total_users=next(figures))  # fmt: skip
        add("ga_funnel_events", day, event_name="scroll", event_count=3, sessions=2, total_users=1)
        for number, channel in enumerate(("Direct", "Paid Search", "Organic Search")):
            add("ga_traffic_sources", day, session_source="s", session_medium=f"m{number}", new_users=2,
                session_campaign_name="c", session_default_channel_group=channel, **sessions())  # fmt: skip
        # Of the channels of a source and medium the one with most sessions in all, not the one of the largest row.
        for campaign, channel, count in (("a", "Shopping", 30), ("b", "Paid Search", 20), ("c", "Paid Search", 20)):
            named = {"session_campaign_name": campaign, "session_default_channel_group": channel, "new_users": 1}
            add("ga_traffic_sources", day, session_source="google", session_medium="cpc", **named,
                **sessions(sessions=count))  # fmt: skip
    for day in (first, second):
        for page, channel in (
            ("/", "Organic Search"),
            ("/", "Paid Search"),
            ("/", "Display"),
            ("/shoes/red", "Display"),
        ):
            add("ga_landing_page_channels", day, landing_page=page, session_default_channel_group=channel, **sessions())
        for page, device in itertools.product(PAGES[:2], ("mobile", "desktop")):
            add("ga_landing_page_devices", day, landing_page=page, device_category=device, **sessions())
        for page, medium in itertools.product(PAGES[:2], ("organic", "cpc")):
            add("ga_landing_page_sources", day, landing_page=page, session_source="google", session_medium=medium,
                **sessions())  # fmt: skip
        for name, device in itertools.product(STEPS, ("mobile", "desktop")):
            if (day, name, device) != (second, "purchase", "mobile"):
                add("ga_funnel_event_devices", day, event_name=name, device_category=device, event_count=9,
                    sessions=next(figures))  # fmt: skip
        add("ga_page_scrolls", day, page_path="/shoes/red", event_count=next(figures))
    for transaction, told, revenue in (("A-1", 2, 30.5), ("A-2", 4, 10.0), ("(not set)", 9, 99.0), ("", 3, 5.0)):
        add("ga_repeated_transactions", second, transaction_id=transaction, ecommerce_purchases=told,
            purchase_revenue=revenue)  # fmt: skip
    for day, campaign, url, currency, cost in (
        (first, "1", "https://shop.test/shoes/red/?utm_source=x", "USD", 1.25),
        (first, "2", "https://shop.test/shoes/red", "USD", 2.5),
        (first, "1", "https://shop.test/", "EUR", 7.0),
        (last, "1", "https://shop.test/nobody/came", "USD", 0.5),
    ):
        add("google_ads_landing_pages", day, customer_id=ACCOUNT, currency=currency, campaign_id=campaign,
            campaign_name="c", impressions=9, clicks=3, cost=cost, conversions=0.0, conversions_value=0.0,
            final_url=url)  # fmt: skip
    for title, views in (("Nothing here: 404", 5), ("Page not found", 8)):
        add("ga_error_pages", second, page_path="/shoes/blue", page_title=title, screen_page_views=views)
    return raw


RAW = documents(DAYS)
ACCOUNTS = {"ga4": {"property_id": PROPERTY}, "google_ads": {"customer_id": ACCOUNT}}


def other(row):
    """The same, told by the account that was set before."""
    account = {"customer_id": "2222222222"} if "customer_id" in row else {"property_id": "properties/2"}
    return {**row, **account, "id": f"other-{row['id']}"}


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory):
    with bigquery_emulator(tmp_path_factory.mktemp("bigquery") / "log") as server:
        yield BigQueryWarehouse.connect(server.project, server.bigquery_endpoint, "US")


@pytest.fixture(scope="module")
def lab(warehouse):
    """A tenant after one run over everything, only to be read."""
    made = EtlLab(warehouse, GROUP, TODAY, sources=ACCOUNTS)
    made.arrive(RAW)
    # What another account told of the same days stays where it is.
    made.arrive({name: [other(row) for row in rows] for name, rows in RAW.items()})
    made.result = made.run("etl-1")
    return made


# --- the same in plain Python ----------------------------------------------------------------------------------------


def total(rows, field):
    """A sum to the cent; unknown where one row lacks it."""
    values = [row.get(field) for row in rows]
    if None in values:
        return None
    return float(sum(Decimal(str(value)) for value in values)) if isinstance(values[0], float) else sum(values)


def traffic(rows, **more):
    found = {
        "users": total(rows, "total_users"),
        "sessions": total(rows, "sessions"),
        "engaged_sessions": total(rows, "engaged_sessions"),
        "bounces": total(rows, "sessions") - total(rows, "engaged_sessions"),
        "conversions": total(rows, "key_events"),
        "revenue": total(rows, "purchase_revenue"),
        **more,
    }
    return {name: value for name, value in found.items() if value is not None}


def by(collection, *names):
    """(day, values of these fields) -> rows."""
    groups = defaultdict(list)
    for row in RAW[collection]:
        groups[(row["date"], *(row[name] for name in names))].append(row)
    return groups


def brought(day, page, prefix, is_mine):
    """What search or ads brought to a landing page: nothing is known of a day that the report does not tell of."""
    if day == LAST:
        return {}
    rows = [
        row
        for row in RAW["ga_landing_page_channels"]
        if (row["date"], row["landing_page"]) == (day, page) and is_mine(row["session_default_channel_group"])
    ]
    return {f"{prefix}_sessions": sum(row["sessions"] for row in rows),
            f"{prefix}_conversions": total(rows, "key_events") if rows else 0.0}  # fmt: skip


def is_organic(channel):
    return channel == "Organic Search"


def expected_pages():
    for (day, page), rows in by("ga_page_performance", "page_path").items():
        scrolls = [
            row["event_count"] for row in RAW["ga_page_scrolls"] if (row["date"], row["page_path"]) == (day, page)
        ]
        yield (
            ("page", day, page),
            traffic(
                rows,
                pageviews=total(rows, "screen_page_views"),
                engagement_seconds=total(rows, "user_engagement_duration"),
                page_template="/" + page.strip("/").split("/")[0],
                scroll_90_events=None if day == LAST else sum(scrolls),
                **brought(day, page, "organic", is_organic),
            ),
        )


def expected_landing_pages():
    nothing = {"sessions": 0, "engaged_sessions": 0, "total_users": 0, "key_events": 0.0, "purchase_revenue": 0.0}
    yield ("landing_page", LAST, "/nobody/came"), traffic([nothing], engagement_seconds=0, page_title="", cost=0.5)
    for (day, page), rows in by("ga_landing_pages", "landing_page").items():
        yield (
            ("landing_page", day, page),
            traffic(
                rows,
                engagement_seconds=total(rows, "user_engagement_duration"),
                page_title="Page not found" if (day, page) == (SECOND, "/shoes/blue") else "",
                cost=COSTS.get((day, page), 0.0),
                **brought(day, page, "organic", is_organic),
                **brought(day, page, "paid", lambda channel: not is_organic(channel)),
            ),
        )
    for (day, page, device), rows in by("ga_landing_page_devices", "landing_page", "device_category").items():
        key = "landing_page_device", day, f"{page}|{device}"
        yield key, traffic(rows, landing_page=page, device=device)
    for (day, page, source, medium), rows in by(
        "ga_landing_page_sources", "landing_page", "session_source", "session_medium"
    ).items():
        key = "landing_page_source", day, f"{page}|{source} / {medium}"
        yield key, traffic(rows, landing_page=page, source=f"{source} / {medium}")


def expected_devices_and_countries():
    for (day, device), rows in by("ga_device_metrics", "device_category").items():
        seconds = total(rows, "user_engagement_duration")
        yield ("device", day, device), traffic(rows, new_users=2, engagement_seconds=seconds)
    for (day, browser), rows in by("ga_device_metrics", "browser").items():
        yield ("browser", day, browser), traffic(rows, new_users=2)
    for (day, country), rows in by("ga_countries", "country").items():
        yield (
            ("country", day, country),
            traffic(
                rows,
                pageviews=total(rows, "screen_page_views"),
                engagement_seconds=total(rows, "user_engagement_duration"),
                orders=total(rows, "ecommerce_purchases"),
            ),
        )


def expected_sources():
    for (day, source, medium), rows in by("ga_traffic_sources", "session_source", "session_medium").items():
        channel = "Paid Search" if source == "google" else rows[0]["session_default_channel_group"]
        new = total(rows, "new_users")
        yield ("source_medium", day, f"{source} / {medium}"), traffic(rows, new_users=new, channel=channel)
    for (day, channel), rows in by("ga_traffic_sources", "session_default_channel_group").items():
        yield ("channel", day, channel), traffic(rows, new_users=total(rows, "new_users"))


def expected_funnels():
    sessions = {(row["date"], row["event_name"]): row["sessions"] for row in RAW["ga_funnel_events"]}
    for row in RAW["ga_funnel_events"]:
        key = "event", row["date"], row["event_name"]
        yield key, {"users": row["total_users"], "sessions": row["sessions"], "event_count": row["event_count"]}
    on_device = {
        (row["date"], row["event_name"], row["device_category"]): row["sessions"]
        for row in RAW["ga_funnel_event_devices"]
    }
    for day in DAYS:
        for before, step in itertools.pairwise(STEPS):
            done = float(sessions.get((day, step), 0))
            entered = {"sessions": sessions[day, before], "conversions": done, "entered_by": before}
            yield ("funnel_step", day, step), entered
            for device in ("mobile", "desktop") if day != LAST else ():
                yield (
                    ("funnel_step_device", day, f"{step} / {device}"),
                    {
                        "sessions": on_device[day, before, device],
                        "conversions": float(on_device.get((day, step, device), 0)),
                        "device": device,
                        "step": step,
                        "entered_by": before,
                        "pair_before": f"{before} / {device}",
                    },
                )
        yield (
            ("funnel", day, "checkout"),
            {
                "sessions": sessions[day, "begin_checkout"],
                "conversions": float(sessions.get((day, "purchase"), 0)),
                "cart_sessions": sessions[day, "add_to_cart"],
                "step": "purchase",
            },
        )


def expected_site():
    purchases = {row["date"]: row["event_count"] for row in RAW["ga_funnel_events"] if row["event_name"] == "purchase"}
    for (day,), rows in by("ga_property_totals").items():
        yield (
            ("property", day, PROPERTY),
            traffic(
                rows,
                new_users=total(rows, "new_users"),
                pageviews=total(rows, "screen_page_views"),
                orders=purchases.get(day, 0),
                purchase_events=purchases.get(day, 0),
                duplicate_purchases=1 + 3 if day == SECOND else 0,
                duplicate_revenue=30.5 / 2 + 10.0 * 3 / 4 if day == SECOND else 0,
            ),
        )


@pytest.mark.parametrize(
    "expected",
    [
        expected_site,
        expected_pages,
        expected_landing_pages,
        expected_devices_and_countries,
        expected_sources,
        expected_funnels,
    ],
)
def test_every_metric_is_that_of_the_raw_documents(lab, expected):
    rows, made = dict(expected()), lab.metrics()
    types = {kind for kind, _, _ in rows}
    assert {key: value for key, value in made.items() if key[0] in types and key[1] in DAYS} == rows


def test_nothing_else_is_made(lab):
    assert {kind for kind, _, _ in lab.metrics()} == {
        entity.entity_type for group in GROUP for entity in group.entities
    }
    assert lab.result.leaks == ()


def test_a_row_that_is_gone_and_one_that_came_late_are_made_up_for(lab):
    days = [(date.fromisoformat(day) - timedelta(days=14)).isoformat() for day in DAYS]
    _, second, last = days
    raw = documents(days)
    lab.arrive(raw)
    lab.run("etl-2")
    before = lab.metrics()
    late = {"landing_page": "/", "session_default_channel_group": "Organic Search", "sessions": 7, "key_events": 1.0}
    unlike = {"id": "late", "property_id": PROPERTY, "date": last}
    unlike |= {"engaged_sessions": 5, "total_users": 6, "purchase_revenue": 2.5}
    lab.arrive({"ga_landing_page_channels": [late | unlike]}, run_id="sync-2")
    lab.arrive({"ga_page_scrolls": [row for row in raw["ga_page_scrolls"] if row["date"] == second]}, deleted=True)
    lab.run("etl-3")
    after = lab.metrics()
    assert after["landing_page", last, "/"]["organic_sessions"] == after["page", last, "/"]["organic_sessions"] == 7
    assert after["landing_page", last, "/shoes/red"]["organic_sessions"] == 0
    assert "scroll_90_events" not in after["page", second, "/shoes/red"]
    assert {key[0] for key in after if after[key] != before[key]} == {"page", "landing_page"}
    assert lab.run("etl-4", full=True).changed == 0
