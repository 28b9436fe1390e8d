from datetime import UTC, date, datetime
from typing import Any

import orjson
from google.api_core.datetime_helpers import DatetimeWithNanoseconds

from shared.dashboard.sources import days, sources
from shared.sources.states import SourceStates
from tests.fakes import ScriptedWarehouse, fake_clients

AT = datetime(2026, 3, 2, 6, tzinfo=UTC)
COUNTS = {"written": 9, "unchanged": 1, "arrived": 6, "refused": 1, "row_count": 7, "aggregated": 6}


def test_tenant_whose_settings_are_not_valid_has_no_sources_that_could_stand():
    clients = fake_clients("demo")
    assert sources(clients, "demo") == []
    held: Any = clients.documents
    held.documents["tenants/demo"] |= {"created_at": AT, "updated_at": AT, "sources": {"stripe": {}}}
    assert [each["name"] for each in sources(clients, "demo")] == ["stripe"]


def test_what_browsers_are_told_is_plain_json():
    clients = fake_clients("demo")
    held: Any = clients.documents
    held.documents["tenants/demo"] |= {"created_at": AT, "updated_at": AT, "sources": {"stripe": {}}}
    SourceStates(clients.ops, lambda: DatetimeWithNanoseconds(2026, 3, 2, 6, tzinfo=UTC)).answered("demo", "stripe")
    [stripe] = orjson.loads(orjson.dumps(sources(clients, "demo")))
    assert (stripe["since"], stripe["counted_at"], stripe["ledger"]) == ("2026-03-02T06:00:00+00:00", None, [])


def test_days_are_told_by_collection_with_what_each_lost():
    rows = [
        {"collection_name": "stripe_charges", "date": date(2026, 3, 1), **COUNTS},
        {"collection_name": "stripe_refunds", "date": date(2026, 3, 1), **COUNTS, "arrived": 8, "row_count": 6},
        {"collection_name": "stripe_charges", "date": date(2026, 2, 28), **COUNTS},
    ]
    warehouse = ScriptedWarehouse(arrival_ledger=rows, stage_counts=[])
    found = days(fake_clients("demo", warehouse=warehouse), "demo", "stripe")["days"]
    assert [day["date"] for day in found["stripe_charges"]] == ["2026-03-01", "2026-02-28"]
    assert (found["stripe_charges"][0]["lost"], found["stripe_refunds"][0]["lost"]) == (3, 0)
    assert warehouse.queries[0][1]["source"] == "stripe"


def test_unmapped_share_is_told_by_what_the_source_names():
    counts = [{"subject": "google_ads campaign", "aliases": 12, "unmapped": 3}]
    warehouse = ScriptedWarehouse(arrival_ledger=[], stage_counts=counts)
    found = days(fake_clients("demo", warehouse=warehouse), "demo", "google_ads")
    assert found == {"days": {}, "unmapped": [{"subject": "campaign", "aliases": 12, "unmapped": 3}]}


def test_tenant_that_no_etl_has_seen_has_no_days():
    class Empty(ScriptedWarehouse):
        def exists(self, name: str) -> bool:
            return False

    found = days(fake_clients("demo", warehouse=Empty()), "demo", "stripe")
    assert found == {"days": {}, "unmapped": []}
