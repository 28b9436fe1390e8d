"""Data quality: what is missing, late, doubled, mixed or unknown in the data themselves."""

from collections.abc import Iterator

from tests.support.detector_cases import DAYS, Metrics, changed, ramp, steady
from tests.support.detectors import Row, series

FOUND = {
    ("dq_bot_traffic", "country", "Atlantis", "up"),
    ("dq_currency_mixed", "source_table", "stripe_invoices", "level"),
    ("dq_currency_mixed", "source_table", "stripe_payouts", "level"),
    ("dq_duplicate_transactions", "property", "properties/1", "level"),
    ("dq_entity_unmapped", "source_table", "google_ads_labels", "level"),
    ("dq_late_restated_data", "source_table", "google_ads_conversions", "level"),
    ("dq_missing_day", "source_table", "ga_other_report", "level"),
    ("dq_null_share_jump", "table_column", "orders.campaign", "up"),
    ("dq_rows_lost", "arrival", "ac_contacts", "level"),
    ("dq_stale_source", "source_table", "ac_events", "level"),
    ("dq_tracking_stopped", "event", "newsletter_signup", "down"),
    ("dq_utm_inconsistent", "utm_group", "spring_sale", "level"),
    ("dq_volume_anomaly", "source_table", "ga_halved_report", "level"),
}


def _known(**attributes: float) -> Metrics:
    return steady(attributes=attributes)


def _but(days: range, metrics: Metrics) -> Metrics:
    """No rows on these days."""
    return lambda ago: None if ago in days else metrics(ago)


def _site(purchases: int, duplicates: int) -> Row:
    events = {"purchase_events": purchases, "duplicate_purchases": duplicates, "duplicate_revenue": duplicates * 50.0}
    return {"sessions": 20_000, "attributes": events}


def _country(sessions: int, people: int) -> Row:
    """People look at three pages for a minute; the others at one, for no time at all."""
    return {
        "sessions": sessions,
        "pageviews": sessions + 2 * people,
        "attributes": {"engagement_seconds": 60.0 * people},
    }


def _rows(ago: int, last: int, usual: int) -> Row:
    """More or fewer by a twentieth from week to week; on the last day another number."""
    return {"attributes": {"row_count": last if ago == 0 else usual + usual * (ago // 7 % 3 - 1) // 20}}


def _null(nulls: int, rows: int) -> Row:
    return {"attributes": {"null_count": nulls, "row_count": rows}}


def found() -> Iterator[Row]:
    """One entity for each detector that it finds."""
    yield from series("property", "properties/1", DAYS, steady(**_site(100, 5)))
    yield from series("source_table", "ga_steady_report", DAYS, _known(row_count=100))
    yield from series("source_table", "ga_other_report", DAYS, _but(range(4, 5), _known(row_count=40)))
    yield from series("source_table", "ga_halved_report", DAYS, lambda ago: _rows(ago, 300, 600))
    late = {"hours_since_load": 90, "usual_interval_hours": 24, "loads": 300}
    yield from series("source_table", "ac_events", DAYS, _known(row_count=40, **late))
    yield from series("arrival", "ac_contacts", DAYS, _known(rows_expected=2_000, rows_missing=1_998))
    yield from series("arrival", "ac_campaigns", DAYS, _known(rows_expected=300, rows_missing=0))
    on_time = {"hours_since_load": 90, "usual_interval_hours": 168, "loads": 30}
    yield from series("source_table", "ac_weekly_events", DAYS, _known(row_count=40, **on_time))
    unmapped = {"row_count": 100, "unmapped_cost": 40.0}
    yield from series("source_table", "google_ads_labels", DAYS, steady(cost=1_000.0, attributes=unmapped))
    yield from series("source_table", "stripe_payouts", DAYS, _known(row_count=20, currencies=2, foreign_rows=3))
    amounts = [{"row_count": 20, "currencies": 1, "median_amount": amount} for amount in (49.0, 4_900.0)]
    yield from series(
        "source_table", "stripe_invoices", DAYS, changed({"attributes": amounts[0]}, {"attributes": amounts[1]})
    )
    restated = {"row_count": 40, "first_metric": 500.0, "restated_metric": 600.0}
    yield from series("source_table", "google_ads_conversions", DAYS, _known(**restated))
    yield from series("event", "newsletter_signup", DAYS, _but(range(0, 2), _known(event_count=50)))
    yield from series("table_column", "orders.campaign", DAYS, changed(_null(5, 200), _null(60, 200)))
    spellings = {"minor_sessions": 20, "spellings": 3}
    yield from series("utm_group", "spring_sale", DAYS, steady(sessions=100, attributes=spellings))
    yield from series("country", "Atlantis", DAYS, changed(_country(100, 90), _country(800, 90)))
    yield from series("country", "Utopia", DAYS, changed(_country(100, 90), _country(800, 700)))


def edge(more: int) -> Iterator[Row]:
    """The same effects, one unit below a guard's least volume (`more` = 0) or exactly on it (`more` = 1)."""
    # 100 purchases in 28 days are needed.
    purchases = ramp(99 + more, 28)
    yield from series("property", "properties/1", DAYS, lambda ago: _site(purchases(ago), 1))
    # 10 rows a day, or usually 100 are needed.
    yield from series("source_table", "ga_other_report", DAYS, _but(range(4, 5), _known(row_count=9 + more)))
    yield from series(
        "source_table",
        "ga_halved_report",
        DAYS,
        lambda ago: {"attributes": {"row_count": 30 if ago == 0 else 99 + more}},
    )
    # 7 loads are needed.
    late = {"hours_since_load": 90, "usual_interval_hours": 24, "loads": 6 + more}
    yield from series("source_table", "ac_events", DAYS, _known(row_count=40, **late))
    # One row that is expected is enough.
    yield from series("arrival", "ac_contacts", DAYS, _known(rows_expected=more, rows_missing=1))
    # 500 rows in 28 days are needed, 50 for currencies.
    rows, few = ramp(499 + more, 28), ramp(49 + more, 28)
    yield from series(
        "source_table",
        "google_ads_labels",
        DAYS,
        lambda ago: {"cost": 1_000.0, "attributes": {"row_count": rows(ago), "unmapped_cost": 40.0}},
    )
    yield from series(
        "source_table",
        "stripe_payouts",
        DAYS,
        lambda ago: {"attributes": {"row_count": few(ago), "currencies": 2, "foreign_rows": 1}},
    )
    # 100 of the main metric are needed.
    restated = {"row_count": 40, "first_metric": 99.0 + more, "restated_metric": 200.0}
    yield from series("source_table", "google_ads_conversions", DAYS, _known(**restated))
    # 10 events a day are needed, 20 over the two days.
    yield from series("event", "newsletter_signup", DAYS, _but(range(0, 2), _known(event_count=9.9 + more * 0.1)))
    # 500 rows in 7 days, 100 sessions in 28, 200 sessions in 7 are needed.
    seven, campaign, wave = ramp(499 + more, 7), ramp(99 + more, 28), ramp(199 + more, 7)
    yield from series(
        "table_column", "orders.campaign", DAYS, lambda ago: _null(30, seven(ago)) if ago < 7 else _null(1, 200)
    )
    yield from series(
        "utm_group",
        "spring_sale",
        DAYS,
        lambda ago: {"sessions": campaign(ago), "attributes": {"minor_sessions": 1, "spellings": 2}},
    )
    yield from series("country", "Atlantis", DAYS, lambda ago: _country(wave(ago), 2) if ago < 7 else _country(3, 2))
