"""What each store takes for the subject's, and what it leaves to those beside it."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from shared.caches.erasure import CachedAnswers
from shared.comparison.erasure import Comparisons
from shared.erasure.store import Needs
from shared.erasure.subject import document, tenant
from shared.errors import Rejected, Unavailable
from shared.ops.dead_letters import DeadLetters
from shared.ops.erasure import SetAside, TenantState, named_after
from shared.ops.leases import Leases
from shared.streaming.erased_rows import DocumentRows
from shared.streaming.erasure import Copies, StreamingState
from shared.streaming.streams import declared_patterns
from shared.tenants.erasure import FirestoreDocuments, TenantDatasets
from tests.fakes import FakeCache, FakeDocuments, FakeObjects, ScriptedWarehouse

PATH = "tenants/a_b/contacts/x"


class Lab:
    def __init__(self, **warehouse: Any) -> None:
        self.documents, self.ops, self.cache, self.bucket = FakeDocuments(), FakeDocuments(), FakeCache(), FakeObjects()
        self.warehouse = ScriptedWarehouse(**warehouse)
        self.warehouse.datasets = lambda: ["aso_tenant_a", "aso_tenant_a_b", "aso_tenant_axb"]  # type: ignore[method-assign]
        self.needs = Needs(
            project="p",
            databases=("(default)",),
            documents=lambda name: self.documents,
            ops=lambda: self.ops,
            warehouse=lambda: self.warehouse,
            bucket=lambda setting: self.bucket,
            cache=lambda: self.cache,
            leases=lambda: Leases(self.ops),
            patterns=declared_patterns,
        )


@pytest.fixture
def lab():
    return Lab()


def test_a_document_goes_with_all_below_it_and_its_neighbours_stay(lab):
    for path in (PATH, f"{PATH}/notes/1", f"{PATH}/notes/1/replies/2", f"{PATH}2", "tenants/a/contacts/x"):
        lab.documents.put(path, {})
    store = FirestoreDocuments(lab.needs)
    assert store.count(document(PATH)) == {
        "(default)/tenants/contacts": 1,
        "(default)/tenants/contacts/notes": 1,
        "(default)/tenants/contacts/notes/replies": 1,
    }
    store.erase(document(PATH))
    assert sorted(lab.documents.documents) == ["tenants/a/contacts/x", f"{PATH}2"]


def test_events_set_aside_go_with_their_objects_whether_or_not_a_summary_was_written(lab):
    letters = DeadLetters(lab.bucket, lab.ops)
    for path, database in (
        (PATH, "(default)"),
        (f"{PATH}/notes/1", "(default)"),
        (f"{PATH}2", "(default)"),
        (PATH, "shop"),
    ):
        headers = {"ce-subject": f"documents/{path}", "ce-source": f"//firestore/projects/p/databases/{database}"}
        letters.set_aside(
            function="f",
            event_id=f"{path}{database}",
            error=Rejected("no"),
            headers=headers,
            body=b"",
            subject=f"documents/{path}",
            tenant_id="a_b",
        )
    for name, path in (("lone", PATH), ("other", f"{PATH}2")):
        kept = {"headers": {"ce-subject": f"documents/{path}"}, "body": ""}
        lab.bucket.put_if_absent(f"dead-letters/f/{name}.json", orjson.dumps(kept))
    store = SetAside(lab.needs)
    assert store.count(document(PATH)) == {"summaries": 2, "objects": 3}
    store.erase(document(PATH))
    assert store.count(document(PATH)) == {"summaries": 0, "objects": 0}
    left = {letter["event_id"] for letter in lab.ops.documents.values()}
    assert left == {f"{PATH}2(default)", f"{PATH}shop"}
    assert "dead-letters/f/other.json" in lab.bucket.objects
    assert len(lab.bucket.objects) == 3
    store.erase(tenant("a_b"))
    assert (lab.bucket.objects, lab.ops.documents) == ({}, {})


def test_a_tenants_state_is_what_has_its_id_and_never_what_begins_alike(lab):
    for tenant_id in ("a", "a_b", "axb"):
        lab.ops.put(f"progress/{tenant_id}", {"tenant_id": tenant_id})
        lab.ops.put(f"merges/aso_tenant_{tenant_id}.x", {"view": f"aso_tenant_{tenant_id}.x"})
        lab.ops.put(f"streams/{tenant_id}", {"pattern": {"path": f"tenants/{tenant_id}/x"}})
        for resource in (f"merge:aso_tenant_{tenant_id}.x", f"sync:{tenant_id}:ga4"):
            lab.ops.put(f"leases/{resource}", {"resource": resource})
    for store in (TenantState(lab.needs), StreamingState(lab.needs)):
        store.erase(tenant("a"))
        assert not any(store.count(tenant("a")).values())
    assert len(lab.ops.documents) == 10
    assert not any(path.endswith(("/a", "tenant_a.x", ":a:ga4")) for path in lab.ops.documents)


def test_leases_are_named_after_a_tenant_part_by_part():
    assert named_after("merge:aso_tenant_a.notes", "a")
    assert named_after("etl:a", "a")
    assert not named_after("merge:aso_tenant_a_b.notes", "a")
    assert not named_after("sync:ab:ga4", "a")


def test_cached_answers_of_the_tenant_go_and_never_those_named_alike(lab):
    for tenant_id in ("a", "a_b"):
        lab.cache.load(f"aso_opportunities:{tenant_id}:new", f"aso_opportunities:{tenant_id}", 60, lambda: 1)
    store = CachedAnswers(lab.needs)
    assert sum(store.count(document("tenants/a/contacts/x")).values()) == 1
    store.erase(document("tenants/a/contacts/x"))
    assert list(lab.cache.values) == ["aso_opportunities:a_b:new"]
    assert list(lab.cache.scopes) == ["aso_opportunities:a_b"]


def test_differences_that_name_the_document_go_and_a_done_comparison_forgets_where_it_ended(lab):
    name = f"projects/p/databases/(default)/documents/{PATH}"
    run = {
        "tenant_id": "a_b",
        "status": "done",
        "suspects": [{"key": f"{name}2"}],
        "left_after": name,
        "right_after": "",
    }
    lab.ops.put("verifications/1", run)
    lab.ops.put("verifications/2", run | {"status": "comparing"})
    for number, key in enumerate((name, f"{name}/notes/1", f"{name}2")):
        lab.ops.put(f"verifications/1/differences/{number}", {"key": key})
    store = Comparisons(lab.needs)
    assert store.count(document(PATH)) == {"differences": 2, "verifications": 2}
    store.erase(document(PATH))
    assert store.count(document(PATH)) == {"verifications": 1}, "one that is at work needs its cursor until it is done"
    assert lab.ops.get("verifications/1")["suspects"] == [{"key": f"{name}2"}]
    assert lab.ops.get("verifications/1/differences/2") is not None


TABLES = [
    {"table_name": "contacts_base", "columns": ["document_name", "version"]},
    {"table_name": "contacts_raw_changelog", "columns": ["document_name", "version"]},
    {"table_name": "stage_counts", "columns": ["tenant_id"]},
    {"table_name": "old_raw_changelog", "columns": ["document_name", "timestamp"]},
]


def test_rows_are_deleted_by_name_in_every_table_that_has_one_logs_before_bases():
    lab = Lab(INFORMATION_SCHEMA=TABLES)
    DocumentRows(lab.needs).erase(document(PATH))
    name = f"projects/p/databases/(default)/documents/{PATH}"
    tables = [sql.split("`")[1] for sql, _ in lab.warehouse.executed]
    assert tables == [
        f"aso_tenant_a_b.{name}" for name in ("contacts_raw_changelog", "old_raw_changelog", "contacts_base")
    ]
    assert all(values["name__default_"] == name and name not in sql for sql, values in lab.warehouse.executed)
    assert "held.version <= @until" in lab.warehouse.executed[0][0]
    assert "held.timestamp <= @until" in lab.warehouse.executed[1][0]


def test_only_the_datasets_that_the_document_can_be_in_are_asked():
    lab = Lab(INFORMATION_SCHEMA=TABLES, row_count=[])
    DocumentRows(lab.needs).count(document(PATH))
    assert {sql.split("`")[1].split(".")[0] for sql, _ in lab.warehouse.queries} == {"aso_tenant_a_b"}
    assert len(lab.warehouse.queries) == 2, "which tables, and one statement over all of them"


def note(table: str, path: str, tenant_id: str | None = None, **pattern: Any) -> dict[str, Any]:
    """What is noted of a table when it is made."""
    kept = {"path": path, "table": table, "database": "(default)", **pattern}
    view = table.format(tenant_id=tenant_id)
    return {"view": view, "pattern": kept, "names": {}, "tenant_id": tenant_id}


def asked(lab: Lab, subject: Any) -> set[str]:
    """Datasets that are asked what they hold."""
    DocumentRows(lab.needs).count(subject)
    return {sql.split("`")[1].split(".")[0] for sql, _ in lab.warehouse.queries if "INFORMATION_SCHEMA" in sql}


@pytest.fixture
def undone():
    """A lab whose streams were undone or changed: only the notes of their tables are left, and of an adopted log."""
    lab = Lab(INFORMATION_SCHEMA=TABLES, row_count=[])
    lab.warehouse.datasets = lambda: ["shops", "legacy", "exports", "shop_a_b", "shop_a"]  # type: ignore[method-assign]
    for noted in (
        note("shops.users", "users"),
        note("exports.users", "users", database="shop"),
        note("shop_{tenant_id}.orders", "tenants/{tenant_id}/orders", "a_b", of_an_older_version=True),
        note("shop_{tenant_id}.orders", "tenants/{tenant_id}/orders", "a"),
    ):
        lab.ops.put(f"streamed_tables/{noted['view']}", noted)
    adopted = {"path": "users", "database": "shop", "log": "legacy.users_raw_changelog", "undone_at": lab.ops.now}
    lab.ops.put("adoptions/legacy.users_raw_changelog", adopted)
    lab.ops.put("streams/by-hand", {"pattern": {"table": "shops.users"}})
    return lab


@pytest.mark.parametrize(
    ("subject", "datasets"),
    [
        (document("users/x"), {"shops"}),
        (document("users/x", "shop"), {"legacy", "exports"}),
        (document("users/x/orders/1"), set()),
        (document("tenants/a_b/orders/1"), {"shop_a_b"}),
        (document("tenants/a_b/contacts/1"), set()),
        (document("tenants/a_b/orders/1", "shop"), set()),
    ],
)
def test_tables_of_streams_that_are_no_more_are_asked_where_they_can_hold_the_document(undone, subject, datasets):
    assert asked(undone, subject) == datasets


def test_a_note_that_tells_no_path_is_taken_for_anybodys(undone):
    undone.ops.put("streamed_tables/shops.users", {**note("shops.users", "users"), "pattern": {"path": 7}})
    assert asked(undone, document("customers/x")) == {"shops"}


def test_a_log_that_was_adopted_for_another_database_is_asked_for_default_too_once_it_is_undone(undone):
    undone.warehouse.answers["INFORMATION_SCHEMA"] = [
        {"table_name": "users_raw_changelog", "columns": ["document_name", "timestamp"]}
    ]
    DocumentRows(undone.needs).erase(document("users/x", "shop"))
    [values] = [values for sql, values in undone.warehouse.executed if "legacy.users_raw_changelog" in sql]
    assert {name.split("/")[3] for key, name in values.items() if key.startswith("name_")} == {"shop", "(default)"}


def test_a_tenants_own_dataset_is_dropped_when_nothing_streams_to_it_any_more(undone):
    dropped: list[str] = []
    undone.warehouse.exists = lambda name: name in undone.warehouse.datasets()  # type: ignore[method-assign]
    undone.warehouse.drop_dataset = dropped.append  # type: ignore[attr-defined]
    TenantDatasets(undone.needs).erase(tenant("a_b"))
    assert dropped == ["shop_a_b"]
    assert StreamingState(undone.needs).count(tenant("a_b")) == {}, "a pattern without a path is nobody's"


def test_two_patterns_of_one_dataset_are_both_asked_for(undone):
    """One knows the placeholder's value, of the other's it may be any."""
    for path in ("shops/{id}/a", "shops/{shop}/stores/{id}/b"):
        pattern = {"path": path, "table": "ds_{id}.t", "database": "(default)"}
        undone.ops.put(f"streamed_tables/{path[-1]}", {"view": "ds_1.t", "pattern": pattern, "tenant_id": None})
    undone.warehouse.datasets = lambda: ["ds_1", "ds_2"]  # type: ignore[method-assign]
    assert asked(undone, document("shops/1")) == {"ds_1", "ds_2"}


def test_a_table_whose_merge_is_at_work_waits_and_the_others_are_erased():
    lab = Lab(INFORMATION_SCHEMA=TABLES)
    with Leases(lab.ops).hold("merge:aso_tenant_a_b.contacts", 60), pytest.raises(Unavailable) as raised:
        DocumentRows(lab.needs).erase(document(PATH))
    assert [sql.split("`")[1] for sql, _ in lab.warehouse.executed] == ["aso_tenant_a_b.old_raw_changelog"]
    waiting = ("contacts_base", "contacts_raw_changelog")
    assert sorted(raised.value.fields) == [f"aso_tenant_{{tenant_id}}.{table}" for table in waiting]


def test_rows_that_cannot_be_deleted_yet_stop_no_other_table():
    lab = Lab(INFORMATION_SCHEMA=TABLES)
    done: list[str] = []

    def execute(sql: str, **parameters: Any) -> int:
        if "old_raw" in sql:  # BigQuery deletes no row that came by insertAll in the last 30 minutes
            raise Rejected("BigQuery refused the statement")
        done.append(sql)
        return 1

    lab.warehouse.execute = execute  # type: ignore[method-assign]
    with pytest.raises(Unavailable):
        DocumentRows(lab.needs).erase(document(PATH))
    assert len(done) == 2


def test_a_document_that_was_written_anew_is_not_of_the_subject(lab):
    lab.documents.now = datetime(2026, 2, 1, tzinfo=UTC)
    lab.documents.put(PATH, {})
    subject = type(document(PATH))("document", PATH, until=datetime(2026, 1, 1, tzinfo=UTC))
    assert FirestoreDocuments(lab.needs).count(subject) == {}


def test_a_copy_forgets_the_document_and_a_finished_one_its_slices(lab):
    name = f"projects/p/databases/(default)/documents/{PATH}"
    refused = [{"name": name, "reason": "title: missing"}, {"name": f"{name}2", "reason": "title: missing"}]
    for run_id, status in (("done", "done"), ("at-work", "copying")):
        named = {"run_id": run_id, "refused": 2, "refused_documents": refused}
        lab.ops.put(f"backfills/{run_id}", {**named, "status": status, "tenant_id": "a_b", "read_at": None})
        lab.ops.put(f"backfill_slices/{run_id}:1", {**named, "low": "", "high": f"{name}5"})
    none = {"run_id": "done", "refused": 0, "refused_documents": []}
    lab.ops.put("backfill_slices/done:2", {**none, "low": name, "high": ""})
    lab.ops.put("backfill_slices/done:3", {**none, "low": f"{name}5", "high": f"{name}-5"})
    lab.ops.put("backfill_slices/done:4", {**none, "low": "", "high": f"{name}/notes/1"})
    store = Copies(lab.needs)
    assert +Counter(store.count(document(PATH))) == {"backfills": 2, "backfill_slices": 4}
    store.erase(document(PATH))
    assert not any(store.count(document(PATH)).values())
    left = {"backfills/done", "backfills/at-work", "backfill_slices/at-work:1", "backfill_slices/done:3"}
    assert lab.ops.documents.keys() == left
    assert lab.ops.get("backfills/done")["refused_documents"] == refused[1:]
    store.erase(tenant("a_b"))
    assert lab.ops.documents.keys() == {"backfills/done", "backfills/at-work"}, "the rest of its state removes the runs"


def test_finished_copies_are_not_read_again_at_every_pass(lab):
    name = "projects/p/databases/(default)/documents/tenants/c/contacts/"
    for number in range(50):
        held = {"run_id": str(number), "refused": 0, "refused_documents": []}
        lab.ops.put(f"backfills/{number}", {**held, "status": "done", "tenant_id": "a", "read_at": None})
        lab.ops.put(f"backfill_slices/{number}:1", {**held, "low": f"{name}n{number}", "high": f"{name}o{number}"})
    read: list[str] = []
    find = lab.ops.find

    def counted(*wanted: Any, **how: Any) -> Any:
        for path, values in find(*wanted, **how):
            read.append(path)
            yield path, values

    lab.ops.find = counted  # type: ignore[method-assign]
    for subject in (document(PATH), tenant("a_b")):
        Copies(lab.needs).count(replace(subject, until=lab.ops.now))
    assert [path for path in read if path.startswith("backfill")] == [], "only those at work, and those of the subject"


@pytest.mark.parametrize(
    ("collection", "database", "status", "ago", "counts"),
    [
        ("tenants/a_b/contacts", "(default)", "copying", timedelta(hours=1), 1),
        ("tenants/{tenant_id}/contacts", "(default)", "copying", timedelta(days=7), 1),
        ("tenants/a_b/contacts/{id}/notes", "(default)", "requested", timedelta(0), 1),
        ("tenants/a_b/contacts", "(default)", "done", timedelta(hours=1), 0),
        ("tenants/a_b/contacts", "shop", "copying", timedelta(hours=1), 0),
        ("tenants/a_b/orders", "(default)", "copying", timedelta(hours=1), 0),
        ("tenants/a_b/contacts", "(default)", "copying", timedelta(hours=-1), 0),
        ("tenants/a_b/contacts", "(default)", "copying", timedelta(days=9), 0),
    ],
)
def test_a_copy_at_work_that_read_before_keeps_the_erasure_open(lab, collection, database, status, ago, counts):
    gone_at = datetime(2026, 3, 1, tzinfo=UTC)
    run = {"run_id": "1", "collection_path": collection, "database": database, "status": status, "tenant_id": ""}
    lab.ops.put("backfills/1", {**run, "read_at": gone_at - ago, "refused": 0, "refused_documents": []})
    store = Copies(lab.needs)
    assert store.count(document(PATH))["runs that read before"] == 0, "nothing was read before it is gone"
    subject = replace(document(PATH), until=gone_at)
    assert store.count(subject)["runs that read before"] == counts
    store.erase(subject)
    assert store.count(subject)["runs that read before"] == counts, "only its end lets the erasure be final"
