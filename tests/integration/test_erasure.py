"""Erasing on the real emulators: personal text is spread over everything, and looked for in every store's bytes."""

import asyncio
from datetime import UTC, datetime, timedelta

import httpx
import orjson
import pytest
import redis
from google.cloud import firestore, storage
from typer.testing import CliRunner

from infra.cli.erase import app
from infra.local.cloud import LocalCloud
from shared.errors import Rejected
from shared.ops.records import Lease, Progress
from shared.runtime.clients import Clients, connect
from shared.schema.bigquery import Column, TableDefinition
from shared.settings import Settings
from shared.streaming.change import EventData
from shared.streaming.records import StreamedTable, StreamPattern
from shared.streaming.streams import Pattern, stream_of
from shared.streaming.tables import EXTENSION_COLUMNS, log_table
from shared.streaming.values import decode

SECRET = "zoe.quillfeather"
NEIGHBOUR = "neighbour.of.zoe"
OTHER = "other.tenant"
TENANTS = ("a_b", "a", "axb")
"""The first is erased; of the others one begins alike, the other is what LIKE takes `_` for."""
PATH = "tenants/a_b/contacts/x"


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    functions = ["stream_document", "sweep_erasures"]
    state = tmp_path_factory.mktemp("cloud")
    with LocalCloud(state, only=functions, databases=["shop"]) as cloud, pytest.MonkeyPatch.context() as environment:
        for name, value in cloud.env.items():
            environment.setenv(name, value)
        connect.cache_clear()
        yield cloud
        connect.cache_clear()


@pytest.fixture(scope="module")
def clients(cloud):
    clients = Clients(Settings())
    for database, adopted in (("shop", None), ("legacy", "extension.contacts_raw_changelog")):
        pattern = {"path": "tenants/{tenant_id}/contacts", "table": f"aso_tenant_{{tenant_id}}.{database}_contacts"}
        if adopted:
            pattern = {"path": "tenants/{tenant_id}/contacts", "table": "extension.contacts", "log": "contacts_log"}
        note = StreamPattern(
            stream_id=database,
            pattern=pattern | {"database": database},
            adopted_log=adopted,
            created_at=datetime.now(UTC),
        )
        clients.ops.put(f"streams/{database}", note.document())
    for tenant_id in TENANTS:
        clients.warehouse.ensure_dataset(f"aso_tenant_{tenant_id}", {"tenant": tenant_id})
        clients.documents.put(f"tenants/{tenant_id}", {"tenant_id": tenant_id})
    return clients


def spread(cloud, clients):
    """The same in every store: SECRET of the subject, NEIGHBOUR of those beside it, OTHER of the other tenants."""
    shop = firestore.Client(database="shop")
    documents = {
        PATH: SECRET,
        f"{PATH}/notes/1": SECRET,
        f"{PATH}/notes/1/replies/1": SECRET,
        "tenants/a_b/contacts/x2": NEIGHBOUR,
        "tenants/a_b/contacts/x2/notes/1": NEIGHBOUR,
        "tenants/a/contacts/x": OTHER,
        "tenants/axb/contacts/x": OTHER,
    }
    for word in ("first", "second"):  # the second write has the first in its old_data
        for path, text in documents.items():
            clients.documents.put(path, {"email": f"{text}.{word}"})
        shop.document(PATH).set({"email": f"{NEIGHBOUR}.{word}"})
        cloud.drain()
        if word == "first":
            stream = stream_of("tenants/a_b/contacts")
            clients.merger.merge(stream.record, stream.names, force=True)
    for path, text in {PATH: SECRET, f"{PATH}/notes/1": SECRET, "tenants/a_b/contacts/x2": NEIGHBOUR}.items():
        aside(clients, path, text)
    aside(clients, PATH, NEIGHBOUR, database="shop")
    clients.dead_letter_objects.put_if_absent("dead-letters/f/lone.json", kept(PATH, SECRET))
    clients.dead_letter_objects.put_if_absent("dead-letters/f/lone2.json", kept("tenants/a_b/contacts/x2", NEIGHBOUR))
    staging(clients)
    extension(clients)
    for tenant_id, text in {"a_b": SECRET, "a": OTHER, "axb": OTHER}.items():
        scope = f"aso_opportunities:{tenant_id}"
        clients.cache.load(f"{scope}:new:30", scope, 600, lambda text=text: {"said": text})
        progress = Progress(
            run_id=f"run-{tenant_id}",
            kind="backfill",
            tenant_id=tenant_id,
            status="done",
            step=OTHER if tenant_id != "a_b" else NEIGHBOUR,
            started_at=datetime.now(UTC),
            updated_at=datetime.now(UTC),
        )
        clients.ops.put(f"progress/run-{tenant_id}", progress.document())
        lease = Lease(resource=f"etl:{tenant_id}", holder="", until=datetime.now(UTC))
        clients.ops.put(f"leases/etl:{tenant_id}", lease.document())


def aside(clients, path, text, database="(default)"):
    clients.dead_letters.set_aside(
        function="stream_document",
        event_id=f"{path}-{text}",
        error=Rejected("refused"),
        headers={"ce-subject": f"documents/{path}", "ce-database": database},
        body=text.encode(),
        subject=f"documents/{path}",
        tenant_id=path.split("/")[1],
    )


def kept(path, text):
    headers = {
        "ce-subject": f"documents/{path}",
        "ce-source": "//firestore.googleapis.com/projects/p/databases/(default)",
    }
    return orjson.dumps({"function": "f", "headers": headers, "body": text})


def name_of(clients, path, database="(default)"):
    return f"projects/{clients.settings.project}/databases/{database}/documents/{path}"


def staging(clients):
    """What a copy that was interrupted left behind: the log's columns under another name."""
    definition = log_table(stream_of("tenants/a_b/contacts").record)
    table = TableDefinition("", "contacts_backfill_7", definition.columns)
    clients.warehouse.ensure_table("aso_tenant_a_b", table)
    at = datetime.now(UTC) - timedelta(minutes=1)
    common = {
        "event_id": "e",
        "operation": "IMPORT",
        "timestamp": at,
        "version": at,
        "deleted": False,
        "appended_at": at,
    }
    held = {PATH: SECRET, "tenants/a_b/contacts/x2": NEIGHBOUR}
    rows = [{**common, "document_name": name_of(clients, path), "data": text} for path, text in held.items()]
    clients.warehouse.load("aso_tenant_a_b.contacts_backfill_7", rows)


def extension(clients):
    """A log of the extension, of the database `legacy`: its import wrote (default) into the names."""
    clients.warehouse.ensure_dataset("extension")
    clients.warehouse.ensure_table("extension", TableDefinition("", "contacts_raw_changelog", EXTENSION_COLUMNS))
    at = datetime.now(UTC) - timedelta(minutes=1)
    held = [(PATH, "legacy", "lost.once"), (PATH, "(default)", "lost.once"), (f"{PATH}2", "legacy", NEIGHBOUR)]
    rows = [
        {
            "timestamp": at,
            "event_id": "",
            "operation": "IMPORT",
            "document_name": name_of(clients, path, database),
            "data": text,
        }
        for path, database, text in held
    ]
    clients.warehouse.load("extension.contacts_raw_changelog", rows)


def everything(clients):
    """All that every store holds, as (place, text)."""
    held = []
    warehouse = clients.warehouse.client
    for dataset in warehouse.list_datasets():
        for table in warehouse.list_tables(dataset.dataset_id):
            if table.table_type == "TABLE":
                name = f"{dataset.dataset_id}.{table.table_id}"
                held += [(name, str(tuple(row))) for row in warehouse.query(f"SELECT * FROM `{name}`").result()]
    for database in ("(default)", "shop", "ops"):
        for collection in firestore.Client(database=database).collections():
            documents = collection.recursive().stream()
            held += [(f"{database}/{each.reference.path}", str(each.to_dict())) for each in documents]
    for blob in storage.Client(project=clients.settings.project).list_blobs(clients.settings.dead_letter_bucket):
        held.append((blob.name, blob.download_as_bytes().decode("latin-1")))
    server = redis.Redis.from_url(clients.settings.redis_url)
    held += [(key.decode(), (server.get(key) or b"").decode("latin-1")) for key in server.scan_iter()]
    return held


def found(clients, *texts):
    """For each text, the places that hold it."""
    held = everything(clients)
    places = [sorted({place for place, inside in held if text in place or text in inside}) for text in texts]
    return places[0] if len(texts) == 1 else places


def run(*words):
    result = CliRunner().invoke(app, [*words, "--json"])
    assert result.exit_code == 0, result.output
    return orjson.loads(result.stdout)


def sweep(cloud):
    answer = httpx.post(cloud.url("sweep_erasures"), json={}, headers=cloud.auth(), timeout=60, trust_env=False)
    assert answer.status_code == 200, answer.text
    return answer.json()


def deliver_again(clients, path, text, version):
    """An event of before, that its trigger delivers once more."""
    data = EventData()
    data.value.name = name_of(clients, path)
    data.value.create_time.FromDatetime(version)
    data.value.update_time.FromDatetime(version)
    data.value.fields["email"].CopyFrom(decode(text))

    async def stream():
        again = Clients(clients.settings)
        await again.streamer.stream(data.SerializeToString(), "again", version)
        again.streamer.close()

    asyncio.run(stream())


def test_a_document_is_erased_from_every_store_and_nothing_beside_it(cloud, clients):
    spread(cloud, clients)
    written_at = next(clients.documents.tree(PATH))[1]
    held, *beside = found(clients, SECRET, NEIGHBOUR, OTHER)
    stores = (
        "contacts_raw",
        "contacts_base",
        "notes_raw",
        "backfill_7",
        "(default)/",
        "dead-letters/f/lone",
        "aso_opp",
    )
    assert all(any(store in place for place in held) for store in stores), held

    certificate = run("document", PATH, "--yes")
    cloud.drain()  # the deletes of Firestore come as events with the last data, perhaps after the log was cleared
    sweep(cloud)
    assert found(clients, SECRET, NEIGHBOUR, OTHER) == [[], *beside]
    rows = certificate["stores"]["rows"]
    log = rows["aso_tenant_{tenant_id}.contacts_raw_changelog"]
    assert log["before"] >= 2
    assert log["before"] == log["removed"]
    assert all(part["after"] == 0 for store in certificate["stores"].values() for part in store.values())
    assert all("@name__default_" in statement and SECRET not in statement for statement in certificate["statements"])

    deliver_again(clients, PATH, SECRET, written_at)
    assert found(clients, SECRET) == ["aso_tenant_a_b.contacts_raw_changelog"]
    assert sweep(cloud)["removed"] == 1
    assert found(clients, SECRET) == []

    erasures = clients.erasures
    erasures._now = lambda: datetime.now(UTC) + timedelta(hours=27)
    assert erasures.sweep(operator=True)["final"] == 1
    shown = run("show", certificate["erasure_id"], "--of", PATH)
    assert (shown["status"], shown["subject"], shown["about_the_path"]) == ("final", None, True)
    assert PATH not in str(clients.ops.get(f"erasures/{certificate['erasure_id']}"))


def test_tables_whose_stream_was_undone_are_reached(cloud, clients):
    path = "tenants/axb/members/z"
    for dataset, tenant_id in (("left_over", None), ("left_over_axb", "axb")):
        pattern = Pattern(path="tenants/{tenant_id}/members", table=f"{dataset}.members")
        noted = StreamedTable(
            view=pattern.table,
            pattern=pattern.model_dump() | {"said_by": "an older version"},
            names={},
            tenant_id=tenant_id,
            created_at=datetime.now(UTC),
        )
        clients.ops.put(f"streamed_tables/{noted.view}", noted.document())
        clients.warehouse.ensure_dataset(dataset)
        clients.warehouse.ensure_table(dataset, TableDefinition("", "members_base", EXTENSION_COLUMNS))
        row = {"timestamp": datetime.now(UTC) - timedelta(minutes=1), "event_id": "", "operation": "IMPORT"}
        named = row | {"document_name": name_of(clients, path), "data": "undone.long.ago"}
        clients.warehouse.load(f"{dataset}.members_base", [named])
    assert found(clients, "undone.long.ago") == ["left_over.members_base", "left_over_axb.members_base"]
    run("document", path, "--yes")
    assert found(clients, "undone.long.ago") == []


def test_a_document_written_anew_under_the_same_name_stays(cloud, clients):
    path = "tenants/axb/contacts/back"
    clients.documents.put(path, {"email": "gone.for.good"})
    cloud.drain()
    run("document", path, "--yes")
    clients.documents.put(path, {"email": "here.again"})
    cloud.drain()
    sweep(cloud)
    assert found(clients, "gone.for.good") == []
    assert clients.documents.get(path) == {"email": "here.again"}
    (row,) = clients.warehouse.query("SELECT data FROM `aso_tenant_axb.contacts` WHERE document_id = 'back'")
    assert row["data"] == '{"email":"here.again"}'


def test_an_extension_log_with_default_in_its_names_is_reached(cloud, clients):
    assert found(clients, "lost.once") == ["extension.contacts_raw_changelog"]
    run("document", PATH, "--database", "legacy", "--yes")
    assert found(clients, "lost.once") == []
    assert "extension.contacts_raw_changelog" in found(clients, NEIGHBOUR)


def test_a_tenant_is_erased_and_those_named_alike_are_not(cloud, clients):
    for path in ("tenants/a_b/contacts/y", "tenants/a_b/contacts/y/notes/1"):
        clients.documents.put(path, {"email": SECRET})
    aside(clients, "tenants/a_b/contacts/y", SECRET)
    cloud.drain()
    beside = found(clients, OTHER)
    certificate = run("tenant", "a_b", "--yes")
    cloud.drain()  # events of the deletes are set aside, as there is no table for them: with the data that was deleted
    sweep(cloud)
    secret, neighbours, paths, datasets, others = found(
        clients, SECRET, NEIGHBOUR, "tenants/a_b/", "aso_tenant_a_b", OTHER
    )
    assert (secret, neighbours, datasets, others) == ([], [], [], beside)
    # Certificates of its documents are swept themselves: they name them until they are final.
    assert all(place.startswith("ops/erasures/") for place in paths)
    assert "aso_tenant_a_b" not in clients.warehouse.datasets()
    assert clients.ops.get("progress/run-a_b") is None
    assert clients.ops.get("leases/etl:a_b") is None
    assert clients.ops.get("progress/run-a") is not None
    assert clients.ops.get("leases/etl:axb") is not None
    assert certificate["stores"]["datasets"]["aso_tenant_{tenant_id}.contacts_base"]["after"] == 0
    assert certificate["status"] == "open"


def test_a_tenant_nobody_knows_is_refused(cloud, clients):
    result = CliRunner().invoke(app, ["tenant", "nobody", "--yes"])
    assert result.exit_code == 1
    assert list(clients.ops.find("erasures", where=[("subject", "==", "tenants/nobody")])) == []


def test_columns_that_are_asked_for_are_found_in_any_table(cloud, clients):
    clients.warehouse.ensure_table(
        "aso_tenant_a",
        TableDefinition("", "of_a_later_issue", (Column("document_name", "STRING"), Column("x", "STRING"))),
    )
    clients.warehouse.load(
        "aso_tenant_a.of_a_later_issue",
        [{"document_name": name_of(clients, "tenants/a/contacts/x"), "x": "later.text"}],
    )
    run("document", "tenants/a/contacts/x", "--yes")
    assert found(clients, "later.text") == []
