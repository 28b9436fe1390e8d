"""Several Firestore databases of one project, through the real emulator's triggers into their own tables.

And what `scout status` says of them.
"""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime

import pytest
from google.cloud import firestore

from infra.local.cloud import LocalCloud
from shared.runtime.clients import Clients
from shared.settings import Settings
from shared.streaming.records import StreamPattern
from shared.streaming.streams import stream_of
from tests.support.processes import ROOT

TENANT = "named"
DATASET = f"aso_tenant_{TENANT}"
CARTS = f"tenants/{TENANT}/carts"


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    with LocalCloud(tmp_path_factory.mktemp("cloud"), only=["stream_document"], databases=["shop"]) as cloud:
        yield cloud


@pytest.fixture(scope="module")
def clients(cloud):
    with pytest.MonkeyPatch.context() as environment:
        for name, value in cloud.env.items():
            environment.setenv(name, value)
        clients = Clients(Settings())
        # Before anything is written: patterns are read again each minute.
        pattern = {
            "path": "tenants/{tenant_id}/carts",
            "table": "aso_tenant_{tenant_id}.shop_carts",
            "database": "shop",
        }
        note = StreamPattern(stream_id="carts", pattern=pattern, created_at=datetime.now(UTC))
        clients.ops.put("streams/carts", note.document())
        cloud.tenant(TENANT)
        write()
        clients.documents.put(f"tenants/{TENANT}/opportunities/not-valid", {"title": 1})
        cloud.drain()
        yield clients


def write():
    """Two databases that hold the same path."""
    shop, default = firestore.Client(database="shop"), firestore.Client()
    shop.document(f"{CARTS}/a").set({"items": 2**53 + 1})
    shop.document(f"{CARTS}/gone").set({"items": 1})
    default.document(f"{CARTS}/a").set({"items": 7})
    shop.document(f"{CARTS}/gone").delete()


def rows(clients, table):
    sql = f"SELECT document_name, document_id, data FROM `{DATASET}.{table}` ORDER BY document_id"
    return [tuple(row.values()) for row in clients.warehouse.query(sql)]


def test_documents_of_a_named_database_arrive_in_their_own_table(clients):
    name = f"projects/{clients.settings.project}/databases/{{}}/documents/{CARTS}/a"
    assert rows(clients, "shop_carts") == [(name.format("shop"), "a", '{"items":9007199254740993}')]
    assert rows(clients, "carts") == [(name.format("(default)"), "a", '{"items":7}')]


def test_status_says_how_each_stream_stands_and_what_waits(cloud, clients):
    merged = clients.merger.merge(stream_of(CARTS).record, {"tenant_id": TENANT}, force=True)
    assert merged.status == "merged"
    found = scout("status", "--documents", "--json", environment=cloud.env)
    assert found.returncode == 0, found.stderr
    told = json.loads(found.stdout)
    streams = {each["table"].partition(".")[2]: each for each in told["streams"]}
    counted = ("database", "documents", "rows", "tail_rows", "refused_rows", "declared", "differs")
    assert [streams["shop_carts"][name] for name in counted] == ["shop", 1, 1, 3, 0, False, False]
    assert [streams["carts"][name] for name in counted] == ["(default)", 1, 1, 1, 0, False, False]
    assert [streams["opportunities"][name] for name in counted] == ["(default)", 1, 0, 1, 1, True, False]
    assert streams["carts"]["merged_at"]
    assert streams["shop_carts"]["merged_at"] is None
    assert told["dead_letters"] == {"InvalidDocument": 1}
    assert told["unwatched_databases"] == []
    assert told["cost"]["bigquery_bytes_billed_at_least"] == 20 * 1024**2 * len(told["streams"])
    fewer = {**cloud.env, "SCOUT_DATABASES": "(default)"}
    shown = scout("status", "--tenant", TENANT, environment=fewer).stdout
    for said in (
        "shop_carts *",
        "InvalidDocument 1",
        "hold nothing",
        "10 MiB a table",
        "database shop, which no trigger",
    ):
        assert said in shown


def test_status_says_what_to_do_where_it_can_say_nothing(cloud):
    unknown = scout("status", "--tenant", "nobody", environment=cloud.env)
    assert (unknown.returncode, "no such tenant: nobody" in unknown.stderr) == (1, True)
    ended = scout("status", environment={**cloud.env, "FIRESTORE_EMULATOR_HOST": "127.0.0.1:9"})
    assert (ended.returncode, "make up" in ended.stderr) == (1, True)
    nowhere = scout("status", environment={})
    assert (nowhere.returncode, "GOOGLE_CLOUD_PROJECT" in nowhere.stderr) == (1, True)


def scout(*arguments, environment):
    command = [sys.executable, "-m", "infra.cli", *arguments]
    plain = {"PATH": os.environ["PATH"], "COLUMNS": "120"}
    return subprocess.run(command, cwd=ROOT, env={**plain, **environment}, capture_output=True, text=True, check=False)
