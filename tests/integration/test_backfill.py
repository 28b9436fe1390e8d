"""Backfills on the emulators of Firestore and BigQuery: whole, once, resumable after a kill, and beside live writes."""

import asyncio
import itertools
import os
import random
import re
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import orjson
import pytest
from typer.testing import CliRunner

from infra.cli import __main__ as command_line
from infra.local.cloud import LocalCloud
from shared.runtime.clients import Clients, connect
from shared.settings import Settings, settings
from shared.streaming.backfill import Backfills
from shared.streaming.messages import BackfillAsked
from shared.streaming.records import Backfill
from shared.streaming.scan import Slice
from shared.streaming.streams import stream_of
from tests.bench.stream import DOCUMENT
from tests.support.halting import HaltingProxy
from tests.support.live import Live

TENANT = "lab"
numbers = itertools.count()


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    """The stores alone: what is written here reaches BigQuery by a backfill or not at all."""
    nothing, state = tmp_path_factory.mktemp("functions"), tmp_path_factory.mktemp("cloud")
    with pytest.MonkeyPatch.context() as environment, LocalCloud(state, nothing) as cloud:
        for name, value in cloud.env.items():
            environment.setenv(name, value)
        settings.cache_clear()
        connect.cache_clear()
        cloud.tenant(TENANT)
        yield cloud
    settings.cache_clear()
    connect.cache_clear()


@pytest.fixture
def lab(cloud):
    return Lab()


class Lab:
    """One undeclared collection of its own for each test."""

    def __init__(self, name="things"):
        self.name = f"{name}{next(numbers)}"
        self.path = f"tenants/{TENANT}/{self.name}"
        self.clients = Clients(Settings())
        self.dataset = f"aso_tenant_{TENANT}"

    def put(self, documents, path=None):
        self.clients.documents.put_many((f"{path or self.path}/{name}", values) for name, values in documents.items())

    def fill(self, number):
        self.put({f"thing-{n:05d}": {"n": n, "text": "some text " * 20} for n in range(number)})

    def scout(self, *arguments, collection=None):
        """Exit code and answer of `scout backfill`."""
        result = CliRunner().invoke(
            app(), ["backfill", *([collection or self.path] if collection != "" else []), *arguments, "--json"]
        )
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result.exit_code, orjson.loads(result.stdout) if result.stdout else result.stderr

    def copy(self, *arguments, collection=None):
        code, answer = self.scout("--yes", *arguments, collection=collection)
        assert code == 0, answer
        return Backfill.model_validate(answer)

    def go_on(self, run_id):
        """A killed run, gone on with; a transaction that died with it holds its document for up to a minute."""
        for _ in range(3):
            code, answer = self.scout("--yes", "--run", run_id, collection="")
            if code != 75 or "contended" not in answer:
                break
        assert code == 0, answer
        return Backfill.model_validate(answer)

    def rows(self, columns, table=None, where="TRUE", order="1"):
        sql = f"SELECT {columns} FROM `{self.dataset}.{table or self.name}` WHERE {where} ORDER BY {order}"
        return [tuple(row.values()) for row in self.clients.warehouse.query(sql)]

    def logged(self):
        """Rows and documents in the log."""
        return self.rows("COUNT(*) AS n, COUNT(DISTINCT document_name) AS m", f"{self.name}_raw_changelog")[0]

    def held(self, path=None):
        """Name -> version, as Firestore has it."""
        stream, scan = stream_of(path or self.path), self.clients.scan
        return {
            document.name: document.update_time.ToDatetime(tzinfo=UTC)
            for page in scan.pages(stream, Slice(), scan.moment())
            for document in page
        }

    def assert_exact(self):
        """The view holds each document that Firestore holds, at its version, and nothing else."""
        shown = self.rows("document_name, version")
        held = self.held()
        assert len(shown) == len(held)
        assert dict(shown) == held


def app():
    if not command_line.app.registered_commands:
        command_line._register()
    return command_line.app


def test_everything_is_copied_once_and_a_second_run_adds_nothing(lab):
    lab.fill(300)
    run = lab.copy("--slices", "3")
    assert (run.read, run.staged, run.added, run.already_there, run.refused) == (300, 300, 300, 0, 0)
    assert run.slice_count == 3
    lab.assert_exact()
    assert lab.rows("n, text, document_id")[7] == (7, "some text " * 20, "thing-00007")
    again = lab.copy()
    assert (again.read, again.added, again.already_there) == (300, 0, 300)
    assert lab.logged() == (300, 300)
    lab.put({"thing-00007": {"n": 700}, "new": {"n": -1}})
    third = lab.copy()
    assert (third.added, third.already_there) == (2, 299)
    lab.assert_exact()


def test_rows_say_which_run_brought_them_and_repeat_the_write(lab):
    lab.put({"a": {"n": 1}})
    run = lab.copy()
    columns = "event_id, operation, version, timestamp, create_time, deleted, path_params"
    ((event_id, operation, version, timestamp, created, deleted, params),) = lab.rows(
        columns, f"{lab.name}_raw_changelog"
    )
    assert (event_id, operation, deleted) == (run.run_id, "IMPORT", False)
    assert {version, timestamp, created} == set(lab.held().values())
    assert orjson.loads(params) == {"tenant_id": TENANT, "collection": lab.name}
    assert not lab.clients.warehouse.exists(f"{lab.dataset}.{lab.name}_backfill_{run.run_id[-8:]}")
    assert lab.rows("document_id", f"{lab.name}_base") == [("a",)]


def test_the_estimate_counts_and_prices_and_copies_nothing(lab):
    lab.fill(50)
    code, expected = lab.scout("--dry-run")
    assert code == 0
    assert expected["documents"] == expected["rows"] == 50
    assert 50 <= expected["reads"] <= 110
    assert 50 * 200 < expected["bytes"] < 50 * 1000
    assert expected["usd"] > 0
    assert {cost["price"]["noted_on"] for cost in expected["costs"]} == {"2026-11-21"}
    assert all(cost["price"]["source"].startswith("https://cloud.google.com/") for cost in expected["costs"])
    assert not lab.clients.warehouse.exists(f"{lab.dataset}.{lab.name}")


def test_without_a_yes_nothing_is_copied(lab):
    lab.fill(1)
    code, said = lab.scout()
    assert code == 1
    assert "--yes" in said
    assert not lab.clients.warehouse.exists(f"{lab.dataset}.{lab.name}")


def test_an_empty_collection_is_done_at_once(lab):
    run = lab.copy()
    assert (run.status, run.read, run.added) == ("done", 0, 0)


def test_documents_that_are_not_valid_are_listed_and_the_exit_code_says_so(lab):
    values = {**DOCUMENT, "synced_at": datetime(2026, 1, 6, tzinfo=UTC), "tenant_id": TENANT}
    path = f"tenants/{TENANT}/ga_page_performance"
    lab.put({"good": values, "bad": {**values, "sessions": "many"}}, path)
    code, answer = lab.scout("--yes", collection=path)
    assert code == 1
    assert (answer["read"], answer["added"], answer["refused"]) == (2, 2, 1)
    (refused,) = answer["refused_documents"]
    assert refused["name"].endswith(f"{path}/bad")
    assert "sessions" in refused["reason"]
    assert lab.rows("sessions", "ga_page_performance") == [(1234,)]
    code, again = lab.scout("--yes", collection=path)
    assert (code, again["added"], again["refused"]) == (1, 0, 1)


def test_only_documents_since_a_date_are_copied_whether_their_field_is_a_time_or_a_text(lab):
    day = datetime(2026, 1, 1, tzinfo=UTC)
    lab.put({f"time-{n}": {"created_at": day + timedelta(days=n)} for n in range(-3, 9)})
    lab.put({f"text-{n}": {"created_at": f"2026-01-0{n + 1}"} for n in range(5)})
    lab.put({"before": {"created_at": "2025-12-31"}, "none": {"n": 1}, "number": {"created_at": 5}})
    run = lab.copy("--since", "2026-01-03", "--field", "created_at", "--slices", "4")
    expected = [f"text-{n}" for n in range(2, 5)] + [f"time-{n}" for n in range(2, 9)]
    assert [row[0] for row in lab.rows("document_id")] == expected
    assert (run.documents, run.read, run.added) == (10, 10, 10)
    code, expected = lab.scout("--dry-run", "--since", "2026-01-03", "--field", "created_at")
    assert expected["documents"] == 10


def test_a_subcollection_of_many_documents_is_copied_as_one(lab):
    for order in ("a", "b", "c"):
        lab.put({f"{n}": {"n": n} for n in range(20)}, f"{lab.path}/{order}/items")
    lab.put({"elsewhere": {"n": 1}}, f"tenants/{TENANT}/items")
    run = lab.copy("--slices", "3", collection=f"{lab.path}/{{order_id}}/items")
    assert (run.read, run.added, run.slice_count) == (60, 60, 3)
    found = lab.rows("path_params, COUNT(*) AS n", f"{lab.name}__items", where="TRUE GROUP BY 1")
    assert [(orjson.loads(params)["parent_id"], n) for params, n in found] == [("a", 20), ("b", 20), ("c", 20)]


@pytest.mark.parametrize(
    ("method", "number", "before"),
    [
        ("AppendRows", 3, True),
        ("FinalizeWriteStream", 2, False),
        ("BatchCommitWriteStreams", 2, True),
        ("BatchCommitWriteStreams", 2, False),
    ],
    ids=["while it reads", "before a slice is recorded", "before a commit", "after a commit"],
)
def test_a_run_that_is_killed_goes_on_and_each_document_is_there_once(lab, cloud, method, number, before):
    lab.fill(1_200)
    with HaltingProxy(cloud.env["BIGQUERY_GRPC_HOST"], method, number, before=before) as proxy:
        process = subprocess.Popen(
            [sys.executable, "-m", "infra.cli", "backfill", lab.path, "--slices", "6", "--yes"],
            env={**os.environ, "BIGQUERY_GRPC_HOST": proxy.address},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        while not proxy.reached.wait(1):
            assert process.poll() is None, process.communicate()[1].decode()
        os.kill(process.pid, signal.SIGKILL)
        said = process.communicate()[1].decode()
    (run_id,) = re.findall(r"^run ([\w-]+);", said, re.MULTILINE)
    assert lab.clients.backfills.get(run_id).status == "copying"
    assert lab.clients.progress.get(run_id).status == "running"
    code, other = lab.scout("--yes")
    assert code == 75, "another run must wait for the lease of the one that was killed"
    run = lab.go_on(run_id)
    assert (run.read, run.staged, run.added, run.already_there) == (1_200, 1_200, 1_200, 0)
    assert lab.logged() == (1_200, 1_200)
    lab.assert_exact()
    progress = lab.clients.progress.get(run_id)
    assert (progress.kind, progress.status, progress.done, progress.total) == ("backfill", "done", 1_200, 1_200)
    assert progress.counts["added"] == 1_200


def test_a_turn_ends_in_the_middle_of_a_slice_and_the_next_goes_on_behind_it(lab):
    """As a function does it whose time is up: `seconds` is none at all, so that each turn copies what it must."""
    lab.fill(600)
    ticks = itertools.count()
    backfills = Backfills(replace(lab.clients.backfills._means, clock=lambda: next(ticks)))
    run = backfills.start(BackfillAsked(collection=lab.path, slices=1))
    turns = 0
    while run.status != "done":
        run = backfills.work(run.run_id, seconds=4)
        turns += 1
    assert turns > 1
    assert run.slice_count > 1
    assert (run.read, run.staged, run.added) == (600, 600, 600)
    assert lab.logged() == (600, 600)
    lab.assert_exact()


def test_a_backfill_beside_live_writes_is_never_stale_and_brings_nothing_back(lab):
    """While 10,000 documents are copied, some are written, deleted, made anew; their events come late, shuffled, twice.

    What is seen of a document whose event has arrived is never older than that event.
    """
    lab.fill(10_000)
    live = Live(lab.clients, lab.path, random.Random(20260101))
    failures = []
    done = threading.Event()

    def copy():
        try:
            lab.copy("--slices", "4")
        except BaseException as error:  # noqa: BLE001  a thread's error must reach the test
            failures.append(error)
        finally:
            done.set()

    thread = threading.Thread(target=copy)
    thread.start()
    seen = asyncio.run(live.until(done, lab))
    thread.join()
    assert not failures
    assert live.counts["deleted"] > 50
    assert live.counts["made anew"] > 20
    assert live.counts["written"] > 200
    assert seen == []
    lab.assert_exact()
    lab.clients.merger.merge(stream_of(lab.path).record, {"tenant_id": TENANT}, force=True)
    lab.assert_exact()
