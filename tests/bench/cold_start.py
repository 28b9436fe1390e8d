"""How long and how much memory a function needs from the start of its process to its first answer.

Each function is started alone by functions-framework, as a new instance is in production, against a running local
cloud, and gets one real event or request that opens the clients it works with. Beside it a function that imports
every client there is. What each needs is printed to stderr; the figures are of the worst.

Memory is what a container would be charged: all that the worker holds, and what its parent holds for itself alone.
"""

import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest
from google.cloud import pubsub_v1

from infra.functions import load_functions, topics_of
from infra.local.cloud import LocalCloud
from infra.local.parts import PROJECT
from infra.local.ports import HOST, Ports, answers
from shared.detectors.records import DetectorRun
from shared.runtime.clients import Clients
from shared.settings import Settings
from shared.streaming.messages import MergeRequested
from tests.bench.figure import Figure
from tests.bench.stream import COLLECTION, DOCUMENT
from tests.support.processes import ROOT
from tests.support.streaming import event_body

RUNS = 3
PATIENCE_SECONDS = 60
FUNCTIONS = ROOT / "functions"
TENANT = "bench"
AGAINST = "a function that imports every client"
EVERY_CLIENT = '''"""Imports what a function that does everything would import at its head."""
import functions_framework
from google.analytics import data_v1beta
from google.cloud import bigquery, bigquery_storage, firestore, pubsub_v1, storage
import pydantic, redis, scipy.stats

@functions_framework.http
def every_client(request):
    return "ok"
'''


@dataclass(frozen=True)
class First:
    """The first request of a function: made anew for each run."""

    method: str
    path: str
    headers: dict[str, str]
    content: bytes | dict[str, Any]


@dataclass(frozen=True)
class Start:
    """One start: seconds until it listened, until its first answer, of the second answer; megabytes after the first."""

    listens: float
    answers: float
    again: float
    megabytes: float


def cold_start_s_max() -> Figure:
    """Seconds from the start of the process to the first answer, of the slowest function."""
    return _figure("cold_start_s_max", "s", lambda start: start.answers)


def cold_start_mb_max() -> Figure:
    """Megabytes after the first answer, of the largest function."""
    return _figure("cold_start_mb_max", "MB", lambda start: start.megabytes)


def _figure(name: str, unit: str, of: Callable[[Start], float]) -> Figure:
    starts = dict(_starts())
    other = statistics.median(of(start) for start in starts.pop("every_client"))
    worst = max(starts, key=lambda function: statistics.median(of(start) for start in starts[function]))
    values = [of(start) for start in starts[worst]]
    value = statistics.median(values)
    print(f"{name}: worst is {worst}", file=sys.stderr)
    return Figure(
        name=name,
        value=round(value, 3),
        unit=unit,
        against=AGAINST,
        against_value=round(other, 3),
        ratio=round(value / other, 2),
        n=len(values),
        min=round(min(values), 3),
        max=round(max(values), 3),
    )


@cache
def _starts() -> tuple[tuple[str, list[Start]], ...]:
    """Starts of each function, in turn; measured once for both figures."""
    found: dict[str, list[Start]] = {}
    with _cloud() as (cloud, folder):
        every = folder / "every_client"
        every.mkdir()
        (every / "main.py").write_text(EVERY_CLIENT)
        names = [spec.name for spec in load_functions(FUNCTIONS)]
        for run in range(RUNS):
            for name in [*names, "every_client"]:
                source = folder if name == "every_client" else FUNCTIONS
                start = _start(cloud, name, source / name / "main.py", folder / f"{name}.log", run)
                found.setdefault(name, []).append(start)
    for name, starts in found.items():
        medians = {key: statistics.median(getattr(start, key) for start in starts) for key in Start.__annotations__}
        words = ", ".join(f"{key} {value:.2f}" for key, value in medians.items())
        print(f"  {name:22} {words}", file=sys.stderr)
    return tuple(found.items())


@contextmanager
def _cloud() -> Iterator[tuple[LocalCloud, Path]]:
    """A local cloud of stores alone, with one tenant whose tables have just been merged, and a finished run."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        with LocalCloud(folder / "cloud", only=()) as cloud:
            cloud.tenant(TENANT)
            with pytest.MonkeyPatch.context() as environment:
                for name, value in cloud.env.items():
                    environment.setenv(name, value)
                _prepare(Clients(Settings()))  # type: ignore[call-arg]
            yield cloud, folder


def _prepare(clients: Clients) -> None:
    publisher = pubsub_v1.PublisherClient()
    for topic in topics_of(load_functions(FUNCTIONS)):
        publisher.create_topic(name=publisher.topic_path(clients.settings.project, topic))
    # "Not due" is what a merge mostly finds: the merges themselves are the emulator's work, not the start's.
    clients.merges.run(MergeRequested(tenant_id=TENANT))
    now = datetime.now(UTC)
    run = DetectorRun(
        run_id="detectors-1",
        tenant_id=TENANT,
        as_of=now.date(),
        ran=[],
        muted={},
        candidates=0,
        findings=0,
        statements=0,
        finished_at=now,
    )
    clients.ops.put(f"detector_runs/{run.run_id}", run.document())


def _first(cloud: LocalCloud, name: str, run: int) -> First:
    """A request that makes the function do its work as far as that is its own, and not the emulators'."""
    asked: dict[str, dict[str, Any]] = {
        "sync_source": {"tenant_id": TENANT, "source": "ga4"},
        "invalidate_cache": {"tenant_id": TENANT, "scope": f"aso_opportunities:{TENANT}"},
        "merge_changes": {"tenant_id": TENANT},
        "sweep_erasures": {},
        "backfill": {"collection": COLLECTION, "dry_run": True},
        "run_detectors": {"tenant_id": TENANT},
        "run_etl": {"tenant_id": TENANT},
        "write_opportunities": {"tenant_id": TENANT, "run_id": "detectors-1"},
        "every_client": {},
    }
    if name == "dashboard":
        return First("GET", f"/t/{TENANT}/", {"cookie": f"scout_session={cloud.token()}"}, b"")
    if name == "stream_document":
        # Each start its own document, so that each appends a row.
        path = f"{COLLECTION}/cold-{run}-{time.monotonic_ns()}"
        headers = {
            "content-type": "application/protobuf",
            "ce-id": path,
            "ce-specversion": "1.0",
            "ce-type": "google.cloud.firestore.document.v1.written",
            "ce-source": f"//firestore.googleapis.com/projects/{PROJECT}/databases/(default)",
            "ce-subject": f"documents/{path}",
            "ce-time": "2026-01-06T04:15:00Z",
        }
        return First("POST", "/", headers, event_body(path, DOCUMENT, at=10 + run))
    return First("POST", "/", cloud.auth(), asked.get(name, {"tenant_id": TENANT}))


def _start(cloud: LocalCloud, name: str, source: Path, log: Path, run: int) -> Start:
    """Start one function, ask it twice, end it."""
    ports = Ports(usual=False)
    port = ports.take(0)
    ports.release()
    command = [sys.executable, "-m", "functions_framework", "--target", name, "--source", str(source)]
    command += ["--host", HOST, "--port", str(port)]
    environment = {**os.environ, **cloud.env, "PYTHONPATH": str(ROOT), "FUNCTION_TARGET": name}
    first, second = _first(cloud, name, run), _first(cloud, name, run)
    with log.open("ab") as output, httpx.Client(trust_env=False, timeout=PATIENCE_SECONDS) as client:
        began = time.perf_counter()
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output, start_new_session=True)
        try:
            while not answers(port):
                if process.poll() is not None or time.perf_counter() - began > PATIENCE_SECONDS:
                    raise RuntimeError(f"{name} did not start: {log.read_text()[-2000:]}")
                time.sleep(0.005)
            listened = time.perf_counter()
            _ask(client, port, first, log)
            answered = time.perf_counter()
            megabytes = _megabytes(process.pid)
            again = time.perf_counter()
            _ask(client, port, second, log)
            return Start(listened - began, answered - began, time.perf_counter() - again, megabytes)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _ask(client: httpx.Client, port: int, asked: First, log: Path) -> None:
    body: dict[str, Any] = {"json": asked.content} if isinstance(asked.content, dict) else {"content": asked.content}
    answer = client.request(asked.method, f"http://{HOST}:{port}{asked.path}", headers=asked.headers, **body)
    if answer.status_code >= 400:
        raise RuntimeError(f"{log.stem} answered {answer.status_code}: {answer.text[:500]}\n{log.read_text()[-2000:]}")


def _megabytes(server: int) -> float:
    """Of the server and its workers: each page once."""
    held = {pid: _memory(pid) for pid in (server, *_children(server))}
    largest = max(held, key=lambda pid: held[pid]["Rss"])
    others = [memory for pid, memory in held.items() if pid != largest]
    alone = sum(memory["Private_Clean"] + memory["Private_Dirty"] for memory in others)
    return (held[largest]["Rss"] + alone) / 1024


def _children(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in found] + [inner for child in found for inner in _children(int(child))]


def _memory(pid: int) -> dict[str, int]:
    """Kilobytes by kind."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    return {line.split(":")[0]: int(line.split()[1]) for line in lines}
