"""Several Firestore databases of one project, through the real emulator's triggers into their own tables."""

from datetime import UTC, datetime

import pytest
from google.cloud import firestore

from infra.local.cloud import LocalCloud
from shared.runtime.clients import Clients
from shared.settings import Settings
from shared.streaming.records import StreamPattern

TENANT = "named"
DATASET = f"aso_tenant_{TENANT}"


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    with LocalCloud(tmp_path_factory.mktemp("cloud"), only=["stream_document"], databases=["shop"]) as cloud:
        yield cloud


@pytest.fixture
def clients(cloud, monkeypatch):
    for name, value in cloud.env.items():
        monkeypatch.setenv(name, value)
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
    return clients


def rows(clients, table):
    sql = f"SELECT document_name, document_id, data FROM `{DATASET}.{table}` ORDER BY document_id"
    return [tuple(row.values()) for row in clients.warehouse.query(sql)]


def test_documents_of_a_named_database_arrive_in_their_own_table(cloud, clients):
    shop, default = firestore.Client(database="shop"), firestore.Client()
    path = f"tenants/{TENANT}/carts"
    shop.document(f"{path}/a").set({"items": 2**53 + 1})
    shop.document(f"{path}/gone").set({"items": 1})
    default.document(f"{path}/a").set({"items": 7})
    shop.document(f"{path}/gone").delete()
    cloud.drain()
    name = f"projects/{clients.settings.project}/databases/{{}}/documents/{path}/a"
    assert rows(clients, "shop_carts") == [(name.format("shop"), "a", '{"items":9007199254740993}')]
    assert rows(clients, "carts") == [(name.format("(default)"), "a", '{"items":7}')]
    assert not list(clients.ops.find("dead_letters"))
