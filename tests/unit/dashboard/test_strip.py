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


def run(clients, kind: str, run_id: str, hour: int, **changes: object) -> None:
    at = AT.replace(hour=hour)
    values = {"run_id": run_id, "kind": kind, "tenant_id": "demo", "status": "done", "started_at": at, "updated_at": at}
    clients.ops.put(f"progress/{run_id}", {**values, **changes})


def compared(clients, run_id: str, **changes: object) -> None:
    found = {"run_id": run_id, "subject": "tenants/demo/things", "counts": {}, "repairs": {}}
    clients.ops.put(f"verifications/{run_id}", {**found, **changes})


def test_newest_copy_and_comparison_of_each_collection_are_told():
    clients = fake_clients("demo")
    for number, name in enumerate(("things", "things", "notes")):
        run(clients, "backfill", f"b{number}", number, counts={"added": number})
        clients.ops.put(f"backfills/b{number}", {"collection_path": f"tenants/demo/{name}"})
    run(clients, "verify", "v", 5, status="running", done=3, total=9)
    compared(clients, "v")
    run(clients, "sync", "s", 6)
    found = strip(clients, "demo")
    assert [(each["kind"], each["subject"], each["run_id"]) for each in found["data"]] == [
        ("verify", "things", "v"),
        ("backfill", "notes", "b2"),
        ("backfill", "things", "b1"),
    ]
    assert [each["kind"] for each in found["runs"]] == ["sync"], "the loop's own runs have their own strip"
    assert found["busy"]


def test_differences_that_a_comparison_found_are_told_with_what_was_mended():
    clients = fake_clients("demo")
    run(clients, "verify", "v", 5)
    counts = {"equal": 90, "missing": 3, "stale": 1, "newer": 2}
    compared(clients, "v", counts=counts, repairs={"repaired": 2, "gone": 1, "kept": 1})
    [told] = strip(clients, "demo")["data"]
    assert told["differences"] == {"kinds": {"missing": 3, "stale": 1}, "mended": 3}


def test_waiting_dead_letters_are_told_by_reason():
    clients = fake_clients("demo")
    for number, reason in enumerate(("InvalidDocument", "RowTooLarge", "InvalidDocument")):
        letter = {"tenant_id": "demo", "status": "waiting", "reason": reason}
        clients.ops.put(f"dead_letters/{number}", letter)
    clients.ops.put("dead_letters/done", {"tenant_id": "demo", "status": "replayed", "reason": "Other"})
    found = strip(clients, "demo")
    assert found["dead_letters"] == 3
    assert found["reasons"] == {"InvalidDocument": 2, "RowTooLarge": 1}
