from datetime import UTC, datetime

from shared.dashboard.strip import strip
from shared.ops.records import Arrivals
from tests.fakes import fake_clients

AT = datetime(2026, 3, 2, 6, tzinfo=UTC)


def arrivals(run_id: str, name: str, hour: int, **pages: dict[str, int]) -> Arrivals:
    return Arrivals(
        run_id=run_id,
        tenant_id="demo",
        source="ga4",
        collection_name=name,
        pages=pages,
        complete=True,
        finished_at=AT.replace(hour=hour),
    )


def test_arrivals_are_those_of_the_newest_sync_over_its_collections_and_pages():
    clients = fake_clients("demo")
    for entry in (
        arrivals("old", "ga_landing_pages", 5, first={"2026-02-27": 90}),
        arrivals("new", "ga_landing_pages", 7, first={"2026-02-28": 3, "2026-03-01": 4}, second={"2026-03-01": 2}),
        arrivals("new", "ga_funnel_events", 8, first={"2026-02-28": 1}),
    ):
        clients.ops.put(f"arrivals/{entry.run_id}:{entry.collection_name}", entry.document())
    shown = strip(clients, "demo")["arrivals"]
    assert (shown["documents"], shown["collections"], shown["last_day"]) == (10, 2, "2026-03-01")


def test_tenant_without_a_sync_shows_no_arrivals():
    assert strip(fake_clients("demo"), "demo")["arrivals"] is None
