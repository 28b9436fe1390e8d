"""What a tenant's sources bring, by day, and how much of it is known under another source's name: asked when opened."""

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

from shared.dashboard.needs import Needs
from shared.errors import Rejected
from shared.schema.sql import render
from shared.sources.standing import Standing, standings

DAYS = 30
MAPPED_DAYS = 90
"""An ETL that found nothing to do counts nothing: its newest count may be old."""
MOST_DAYS = 2_000

Values = dict[str, Any]


def sources(needs: Needs, tenant_id: str) -> list[Values]:
    """How each of the tenant's sources stands; of settings that are not valid, none."""
    try:
        tenant = needs.tenants.get(tenant_id)
    except Rejected:
        return []
    return [_told(each) for each in standings(needs.ops, tenant, datetime.now(UTC))]


def days(needs: Needs, tenant_id: str, source: str) -> Values:
    """The arrival ledger by collection, its newest day first; what of the source's names is nobody else's."""
    dataset, today = f"aso_tenant_{tenant_id}", datetime.now(UTC)
    dated = render("dashboard/arrival_days.sql", dataset=dataset, most=MOST_DAYS)
    since = (today - timedelta(days=DAYS)).date()
    found: dict[str, list[Values]] = {}
    for row in _rows(needs, f"{dataset}.arrival_ledger", dated, source=source, since=since):
        found.setdefault(row.pop("collection_name"), []).append(_day(row))
    mapped = render("dashboard/unmapped.sql", dataset=dataset)
    since_counted = today - timedelta(days=MAPPED_DAYS)
    counts = _rows(needs, f"{dataset}.stage_counts", mapped, source=source, since=since_counted)
    return {
        "days": found,
        "unmapped": [{**row, "subject": row["subject"].partition(" ")[2]} for row in counts],
    }


def _told(standing: Standing) -> Values:
    # Times as Firestore's client gives them are of a kind of its own.
    times = {name: value.isoformat() for name, value in vars(standing).items() if isinstance(value, datetime)}
    return {**asdict(standing), **times}


def _rows(needs: Needs, table: str, sql: str, **parameters: Any) -> list[Values]:
    """None where there is no such table: it is made by the first ETL."""
    return needs.warehouse.query(sql, **parameters) if needs.warehouse.exists(table) else []


def _day(row: Values) -> Values:
    rows = row.pop("row_count") or 0
    lost = max(row["written"] - row["arrived"] - row["refused"], 0)
    if row["aggregated"] is not None:
        lost += max(rows - row["aggregated"], 0)
    return {**row, "date": row["date"].isoformat(), "lost": lost}
