"""Every kind of value from the real Firestore through its trigger, or a scan, into the emulated BigQuery and back."""

import asyncio
import hmac
import math
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import httpx
import orjson
import pytest
from google.api_core.datetime_helpers import DatetimeWithNanoseconds
from google.api_core.exceptions import InvalidArgument
from google.cloud import firestore
from google.cloud.firestore_v1.vector import Vector
from pydantic import BaseModel

from infra.local.cloud import LocalCloud
from shared.runtime.clients import Clients
from shared.schema.record import Collection, Hashed, Json, Masked, Record, Table
from shared.settings import Settings
from shared.streaming.change import read_document
from shared.streaming.effects import Effects
from shared.streaming.records import StreamPattern
from shared.streaming.rows import document_text
from shared.streaming.service import row_of
from shared.streaming.streams import stream_of
from shared.streaming.tables import provision
from shared.streaming.values import decode_fields
from shared.streaming.writer import Writer
from tests.fakes import FakeCache, FakePublisher

TENANT = "values"
DATASET = f"aso_tenant_{TENANT}"
GROUP = "export_values.comments"
MIB = 1 << 20
LEAST, MOST = -(2**63), 2**63 - 1


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    with LocalCloud(tmp_path_factory.mktemp("cloud"), only=["stream_document"]) as cloud:
        yield cloud


@pytest.fixture(scope="module")
def clients(cloud: LocalCloud) -> Iterator[Clients]:
    with pytest.MonkeyPatch.context() as environment:
        for name, value in cloud.env.items():
            environment.setenv(name, value)
        clients = Clients(Settings())  # type: ignore[call-arg]
        pattern = {
            "path": "tenants/{tenant_id}/people",
            "table": "aso_tenant_{tenant_id}.people",
            "hash": ["email", "address.street"],
            "mask": ["phone"],
            "drop": ["ssn"],
            "rename": {"name": "full_name"},
        }
        group = {"path": "{path=**}/comments", "table": GROUP}
        # Before anything is written: patterns are read again each minute.
        for name, added in (("people", pattern), ("comments", group)):
            note = StreamPattern(stream_id=name, pattern=added, created_at=datetime.now(UTC))
            clients.ops.put(f"streams/{name}", note.document())
        cloud.tenant(TENANT)
        yield clients


@pytest.fixture(scope="module")
def store(clients: Clients) -> firestore.Client:
    return firestore.Client()


def everything(store: firestore.Client) -> dict[str, Any]:
    """One of each kind, at the edges of what it can be."""
    shop = firestore.Client(database="shop")
    return {
        "least": LEAST,
        "most": MOST,
        "odd": 9007199254740993,
        "two": 2,
        "two_and_nothing": 2.0,
        "tenth": 0.1,
        "tiny": 5e-324,
        "huge": 1.7976931348623157e308,
        "nan": math.nan,
        "infinite": math.inf,
        "minus_infinite": -math.inf,
        "minus_zero": -0.0,
        "yes": True,
        "nothing": None,
        "words": "ä\u2028\u0000\x1f\"'`\\ 😀 \ufeff\uffff",
        "no_text": "",
        "bytes": bytes(range(256)),
        "no_bytes": b"",
        "here": store.document("a/b"),
        "there": shop.document("a/b/c/ü"),
        "place": firestore.GeoPoint(-90.0, 180.0),
        "vector": Vector([1.5, -0.0, 1e-10]),
        "first_at": datetime(1, 1, 1, tzinfo=UTC),
        "last_at": datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
        "before_at": datetime(1969, 12, 31, 23, 59, 59, 1, tzinfo=UTC),
        "map": {"inner": {"empty": {}, "list": [], "none": None}},
        "list": [1, 1.0, "1", None, {"list": [{"x": [b"x"]}]}, {}],
        "no_map": {},
        "no_list": [],
        "like_time": {"_seconds": 1, "_nanoseconds": 2},
        "like_map": {"_map": {"_double": "NaN"}},
    }


NAMES = {
    "unicode": ["ü", "日本", "😀", "\uff5e", "e\u0301"],
    "not_of_bigquery": ["a.b", "a b", "a-b", "1st", "$", "/", "'", '"', "\\", "`", "a\nb", "_table_x", "x" * 301],
    "of_a_kind": [
        "group",
        "select",
        "inner",
        "true",
        "_seconds",
        "_base64",
        "data",
        "DATA",
        "version",
        "deleted",
        "document_name",
    ],
}


def rows(clients: Clients, table: str, columns: str, where: str = "TRUE") -> list[tuple[Any, ...]]:
    sql = f"SELECT {columns} FROM `{DATASET}.{table}` AS t WHERE {where} ORDER BY document_name"
    return [tuple(row.values()) for row in clients.warehouse.query(sql)]


def stored(clients: Clients, *paths: str) -> list[Any]:
    """Documents as Firestore has them, raw."""
    root = f"projects/{clients.settings.project}/databases/(default)/documents"
    found = clients.scan.fetch([f"{root}/{path}" for path in paths], "(default)")
    return [found[f"{root}/{path}"] for path in paths]


def exact(fields: Any) -> dict[str, bytes]:
    """Fields as bytes, to tell what is equal and yet not the same: 2 and 2.0, 0.0 and -0.0, and NaN from itself not."""
    return {name: fields[name].SerializeToString(deterministic=True) for name in fields}


def test_every_kind_of_value_comes_back_as_it_was(cloud, clients, store):
    paths = [f"tenants/{TENANT}/things/{name}" for name in ("all", *NAMES)]
    store.document(paths[0]).set(everything(store))
    for path, names in zip(paths[1:], NAMES.values(), strict=True):
        store.document(path).set({name: {name: [number]} for number, name in enumerate(names)})
    cloud.drain()
    documents = dict(zip(("all", *NAMES), stored(clients, *paths), strict=True))
    found = dict(rows(clients, "things", "document_id, data"))
    record = stream_of(f"tenants/{TENANT}/things").record
    assert found.keys() == documents.keys()
    for name, document in documents.items():
        assert exact(decode_fields(orjson.loads(found[name]))) == exact(document.fields), name
        assert found[name].encode() == document_text(document.fields, record, {"tenant_id": TENANT}), "as a scan has it"
    assert len(documents["all"].fields) == len(everything(store))
    assert not list(clients.ops.find("dead_letters"))


def test_a_group_arrives_from_wherever_it_lies_and_leaves_again(cloud, clients, store):
    places = ["comments", "posts/p/comments", f"tenants/{TENANT}/posts/p/comments", f"tenants/{TENANT}/comments"]
    documents = [store.document(f"{place}/{number}") for number, place in enumerate(places)]
    for number, document in enumerate(documents):
        document.set({"n": number})
    store.document("comments/0/answers/a").set({"n": 9})
    cloud.drain()
    view = f"SELECT document_name, n FROM `{GROUP}` ORDER BY n"  # noqa: S608
    root = f"projects/{clients.settings.project}/databases/(default)/documents"
    expected = [(f"{root}/{place}/{number}", number) for number, place in enumerate(places)]
    assert [tuple(row.values()) for row in clients.warehouse.query(view)] == expected
    assert not clients.warehouse.exists(f"{DATASET}.comments"), "no broader pattern has it as well"
    stream = stream_of("comments", patterns=clients.patterns.load())
    assert clients.merger.merge(stream.record, stream.names, force=True).merged_rows == 4
    documents[1].delete()
    documents[2].update({"n": 7})
    cloud.drain()
    changed = [*expected[:1], expected[3], (expected[2][0], 7)]
    assert [tuple(row.values()) for row in clients.warehouse.query(view)] == changed
    assert not list(clients.ops.find("dead_letters"))


def test_firestore_itself_keeps_microseconds_and_refuses_names_of_its_own(clients, store):
    document = store.document(f"tenants/{TENANT}/unheard/a")
    document.set({"at": DatetimeWithNanoseconds(2026, 1, 5, 4, 5, 6, nanosecond=123456789, tzinfo=UTC)})
    (found,) = stored(clients, f"tenants/{TENANT}/unheard/a")
    assert found.fields["at"].timestamp_value.nanos == 123456000
    for name in ("__x__", ""):
        with pytest.raises((InvalidArgument, ValueError)):
            document.set({name: 1})


def test_two_clients_that_write_a_map_in_different_order_write_the_same_text(cloud, clients, store):
    fields = {"b": {"z": 1, "a": {"y": 2, "x": 3}}, "a": [{"d": 1, "c": 2}], "ü": 1, "Z": 2}

    def turned(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: turned(inner) for name, inner in reversed(value.items())}
        return [turned(inner) for inner in value] if isinstance(value, list) else value

    store.document(f"tenants/{TENANT}/ordered/one").set(fields)
    store.document(f"tenants/{TENANT}/ordered/other").set(turned(fields))
    cloud.drain()
    ((one,), (other,)) = rows(clients, "ordered", "data")
    assert one == other == '{"Z":2,"a":[{"c":2,"d":1}],"b":{"a":{"x":3,"y":2},"z":1},"ü":1}'


class Inner(BaseModel):
    """A nested value."""

    number: int
    seen_at: datetime | None = None
    tags: list[str] = []
    email: Hashed[str | None] = None


class Everything(Record):
    """A column of each type."""

    least: int
    most: int
    odd: int
    tenth: float
    tiny: float
    huge: float
    nan: float
    infinite: float
    minus_infinite: float
    minus_zero: float
    yes: bool
    nothing: str | None
    words: str
    bytes_: bytes = b""
    first_at: datetime
    last_at: datetime
    before_at: datetime
    day: date
    exactly: Decimal
    list_: list[int] = []
    no_list: list[str]
    single: Inner
    several: list[Inner]
    extra: Json
    missing: int | None = None
    email: Hashed[str]
    phone: Masked[str]

    collection = Collection("tenants/{tenant_id}/everything")
    # Not of the collection's own name: to the function, which does not know this record, it is an undeclared one.
    table = Table("aso_tenant_{tenant_id}.declared", partition_by="day")


def test_typed_columns_of_a_declared_record_hold_the_same_values(clients, store):
    known = everything(store)
    fields = {name: known[name] for name in Everything.model_fields if name in known} | {
        "bytes_": known["bytes"],
        "day": "2026-01-05",
        "exactly": "12345678901234567890.123456789",
        "list_": [LEAST, MOST],
        "single": {"number": MOST, "seen_at": known["before_at"], "tags": ["ü", ""], "email": "jane@example.com"},
        "several": [{"number": 1}, {"number": 2, "seen_at": known["last_at"]}],
        "extra": {"odd": known["odd"], "two": 2.0, "nan": math.nan, "bytes": b"x"},
        "email": "jane@example.com",
        "phone": "+49 170 1234567",
    }
    store.document(f"tenants/{TENANT}/everything/a").set(fields)
    (document,) = stored(clients, f"tenants/{TENANT}/everything/a")
    provision(clients.warehouse, Everything, {"tenant_id": TENANT})

    async def copy() -> str | None:
        writer = Writer(clients.sink, Effects(FakeCache, FakePublisher).follow)
        row = row_of(read_document(document, "scan"), Everything, {"tenant_id": TENANT}, clients.hash_keys)
        await writer.write(row)
        writer.close()
        return row.refused_reason

    assert asyncio.run(copy()) is None
    columns = ", ".join(f"t.{name}" for name in Everything.model_fields)
    (row,) = rows(clients, "declared", columns)
    found = dict(zip(Everything.model_fields, row, strict=True))
    hashed = hash_of(clients, "jane@example.com")
    assert math.isnan(found.pop("nan"))
    assert math.copysign(1, found["minus_zero"]) == -1
    assert found == {
        **{name: known[name] for name in found if name in known},
        "bytes_": known["bytes"],
        "day": date(2026, 1, 5),
        "exactly": Decimal("12345678901234567890.123456789"),
        "list_": [LEAST, MOST],
        "single": {"number": MOST, "seen_at": known["before_at"], "tags": ["ü", ""], "email": hashed},
        "several": [
            {"number": 1, "seen_at": None, "tags": [], "email": None},
            {"number": 2, "seen_at": known["last_at"], "tags": [], "email": None},
        ],
        "extra": {"odd": known["odd"], "two": 2.0, "nan": {"_double": "NaN"}, "bytes": {"_base64": "eA=="}},
        "missing": None,
        "email": hashed,
        "phone": "***567",
    }
    ((data,),) = rows(clients, "declared_raw_changelog", "data")
    assert "jane" not in data
    assert orjson.loads(data)["single"]["email"] == hashed


def hash_of(clients: Clients, text: str) -> str:
    secret = clients.settings.hash_key.get_secret_value().encode()
    key = hmac.digest(secret, f"scout/{TENANT}".encode(), "sha256")
    return hmac.digest(key, orjson.dumps(text), "sha256").hex()


def test_a_collection_that_nobody_declared_hides_what_its_pattern_says(cloud, clients, store):
    person = store.document(f"tenants/{TENANT}/people/a")
    person.set({"name": "Jane", "email": "jane@example.com", "phone": "+49 170 1234567", "ssn": "078-05-1120"})
    person.update({"address": {"street": "Long Street 1", "city": "Ulm"}})
    cloud.drain()
    found = rows(clients, "people", "email, phone, full_name, JSON_VALUE(data, '$.address.street') AS street")
    assert found == [(hash_of(clients, "jane@example.com"), "***567", "Jane", hash_of(clients, "Long Street 1"))]
    learned = clients.ops.get(f"streamed_tables/{DATASET}.people")["columns"]
    assert {(column["field"], column["kind"]) for column in learned} == {
        *((name, "string") for name in ("email", "full_name", "phone")),
        ("address", "map"),
    }
    log = str(rows(clients, "people_raw_changelog", "document_id, data, old_data, path_params, event_id"))
    assert log.count("***567") == 3
    for clear in ("jane@", "1234567", "078-05", "Long Street", "ssn"):
        assert clear not in log


def test_a_mebibyte_of_what_json_makes_six_times_as_long_arrives_and_so_does_its_update(cloud, clients, store):
    document = store.document(f"tenants/{TENANT}/large/a")
    text = "\x01" * (MIB - 400)
    document.set({"text": text})
    document.update({"n": 1})
    document.update({"text": firestore.DELETE_FIELD})
    cloud.drain()
    found = rows(clients, "large_raw_changelog", "operation, LENGTH(data) AS l, LENGTH(old_data) AS o, refused_reason")
    assert sorted(found, key=str) == [
        ("CREATE", len(text) * 6 + 11, None, None),
        ("UPDATE", len(text) * 6 + 17, None, None),
        ("UPDATE", 7, len(text) * 6 + 17, None),
    ]
    assert rows(clients, "large", "data") == [('{"n":1}',)]


def post_empty(cloud: LocalCloud, path: str) -> int:
    """An event of a document that was left out of it, as it may come."""
    project = cloud.env["GOOGLE_CLOUD_PROJECT"]
    headers = {
        "ce-id": f"left-out-{path}",
        "ce-source": f"//firestore.googleapis.com/projects/{project}/databases/(default)",
        "ce-specversion": "1.0",
        "ce-type": "google.cloud.firestore.document.v1.written",
        "ce-subject": f"documents/{path}",
        "ce-time": datetime.now(UTC).isoformat(),
        "ce-project": project,
        "ce-database": "(default)",
        "ce-document": path,
        "content-type": "application/protobuf",
    }
    return httpx.post(cloud.url("stream_document"), headers=headers, content=b"", trust_env=False).status_code


def test_documents_that_were_left_out_of_their_events_are_read_again(cloud, clients, store):
    documents = {name: store.document(f"tenants/{TENANT}/left/{name}") for name in ("kept", "changed", "gone", "back")}
    for document in documents.values():
        document.set({"n": 1})
    cloud.drain()
    documents["changed"].set({"n": 2})
    documents["gone"].delete()
    for name in ("kept", "changed", "gone"):
        assert post_empty(cloud, f"tenants/{TENANT}/left/{name}") < 300
    documents["back"].delete()
    assert post_empty(cloud, f"tenants/{TENANT}/left/back") < 300
    documents["back"].set({"n": 3})
    cloud.drain()
    assert rows(clients, "left", "document_id, n") == [("back", 3), ("changed", 2), ("kept", 1)]
    read = rows(clients, "left_raw_changelog", "document_id, operation", "t.event_id LIKE 'left-out-%'")
    assert read == [("back", "DELETE"), ("changed", "UPDATE"), ("gone", "DELETE"), ("kept", "CREATE")]
    assert not list(clients.ops.find("dead_letters"))
