"""One suite for the fake and for the real pending streams, on the BigQuery emulator."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import grpc
import pytest
from google.cloud.bigquery_storage_v1 import BigQueryWriteClient
from google.cloud.bigquery_storage_v1.services.big_query_write.transports import BigQueryWriteGrpcTransport

from shared.adapters.bigquery import BigQueryWarehouse
from shared.adapters.bigquery_pending import BigQueryPending
from shared.adapters.bigquery_write import write_client
from shared.errors import TenantNotProvisioned
from shared.streaming.pending import PendingStreams, Staged
from shared.streaming.tables import log_table
from shared.streaming.wire import log_wire
from tests.fakes import FakePending
from tests.support.bigquery import bigquery_emulator
from tests.support.faults import APPEND, FaultyProxy
from tests.support.streaming import Plain

numbers = itertools.count()
DATASET = "aso_tenant_pending"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with bigquery_emulator(tmp_path_factory.mktemp("bigquery") / "log") as settings:
        BigQueryWarehouse.connect(settings.project, settings.bigquery_endpoint, "US").ensure_dataset(DATASET)
        yield settings


class Real:
    """A table of its own for each test."""

    def __init__(self, settings: Any) -> None:
        self.settings = settings
        self.table = f"{DATASET}.pending_{next(numbers)}"
        self.warehouse = BigQueryWarehouse.connect(settings.project, settings.bigquery_endpoint, "US")
        self.warehouse.ensure_table(DATASET, replace(log_table(Plain), table=self.table.split(".")[1]))
        self.pending = self.another()

    def another(self) -> PendingStreams:
        at = self.settings
        return BigQueryPending.connect(at.project, at.bigquery_endpoint, at.bigquery_grpc_endpoint)

    def held(self) -> list[str]:
        found = self.warehouse.query(f"SELECT document_name FROM `{self.table}` ORDER BY 1")
        return [row["document_name"] for row in found]


class Fake:
    table = f"{DATASET}.pending"

    def __init__(self) -> None:
        self.pending = FakePending()

    def another(self) -> PendingStreams:
        return self.pending

    def held(self) -> list[str]:
        return sorted(row.document_name for row in self.pending.tables.get(self.table, []))


@pytest.fixture(params=["fake", "real"])
def lab(request):
    return Fake() if request.param == "fake" else Real(request.getfixturevalue("server"))


def rows(*names: str) -> list[Staged]:
    return [Staged(name, row(name)) for name in names]


def row(name: str) -> bytes:
    values = {"timestamp": 1, "event_id": "e", "document_name": name, "operation": "IMPORT"}
    return log_wire(Plain).serialise({**values, "version": 1, "deleted": False, "appended_at": 1})


def test_rows_appear_all_at_once_when_they_are_committed(lab):
    stream = lab.pending.open(lab.table, Plain)
    stream.append(rows("a", "b"))
    stream.append(rows("c"))
    assert stream.finish() == 3
    assert lab.held() == []
    assert lab.pending.commit(lab.table, stream.name)
    assert lab.held() == ["a", "b", "c"]


def test_a_second_commit_from_another_process_changes_nothing(lab):
    stream = lab.pending.open(lab.table, Plain)
    stream.append(rows("a"))
    stream.finish()
    assert lab.another().commit(lab.table, stream.name)
    assert lab.another().commit(lab.table, stream.name)
    assert lab.held() == ["a"]


def test_what_was_abandoned_never_appears(lab):
    stream = lab.pending.open(lab.table, Plain)
    stream.append(rows("a"))
    stream.abandon()
    other = lab.pending.open(lab.table, Plain)
    other.append(rows("b"))
    other.finish()
    lab.pending.commit(lab.table, other.name)
    assert lab.held() == ["b"]


def test_an_empty_stream_is_committed_like_any_other(lab):
    stream = lab.pending.open(lab.table, Plain)
    assert stream.finish() == 0
    assert lab.pending.commit(lab.table, stream.name)
    assert lab.held() == []


def test_a_stream_that_bigquery_does_not_know_is_lost(lab):
    stream = lab.pending.open(lab.table, Plain)
    stream.append(rows("a"))
    stream.finish()
    assert not lab.pending.commit(lab.table, f"{stream.name[:-4]}0000")
    assert lab.held() == []


class WholeProxy(FaultyProxy):
    """Forwards the other calls too."""

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        if details.method == APPEND:
            return super().service(details)
        call = self._channel.unary_unary(details.method)
        return grpc.unary_unary_rpc_method_handler(lambda request, context: call(request))


@contextmanager
def faulty(settings: Any, **faults: Any) -> Iterator[tuple[BigQueryPending, FaultyProxy]]:
    """Pending streams through a proxy."""
    with WholeProxy(settings.bigquery_grpc_endpoint, seed=5, **faults) as proxy:
        channel = grpc.insecure_channel(proxy.address)
        client = BigQueryWriteClient(transport=BigQueryWriteGrpcTransport(channel=channel))
        yield BigQueryPending(client, settings.project, pause=lambda seconds: None), proxy
        channel.close()


def test_appends_land_once_through_a_connection_that_breaks_before_and_after_they_land(server):
    lab = Real(server)
    names = [f"d{number:03d}" for number in range(120)]
    with faulty(server, rate=0.4) as (pending, proxy):
        stream = pending.open(lab.table, Plain)
        for start in range(0, len(names), 4):
            stream.append(rows(*names[start : start + 4]))
        assert stream.finish() == len(names)
        assert pending.commit(lab.table, stream.name)
        assert proxy.seen["broken before"] > 2
        assert proxy.seen["broken after"] > 2
    assert lab.held() == names


def test_rows_that_bigquery_refuses_are_named_and_stop_no_other(server):
    lab = Real(server)
    names = [f"d{number:03d}" for number in range(40)]
    names[7], names[23] = "poison-7", "poison-23"
    with faulty(server, rate=0.0, poison=b"poison") as (pending, _):
        stream = pending.open(lab.table, Plain)
        for start in range(0, len(names), 10):
            stream.append(rows(*names[start : start + 10]))
        assert stream.finish() == 38
        assert [name for name, _ in stream.refused] == ["poison-7", "poison-23"]
        assert pending.commit(lab.table, stream.name)
    assert lab.held() == sorted(name for name in names if not name.startswith("poison"))


def test_a_table_that_does_not_exist_is_told_apart(server):
    client = write_client(server.bigquery_endpoint, server.bigquery_grpc_endpoint)
    pauses: list[float] = []
    with pytest.raises(TenantNotProvisioned):
        BigQueryPending(client, server.project, pauses.append).open(f"{DATASET}.nowhere", Plain)
    assert sum(pauses) > 10, "one that was just made may not be known for some seconds"
