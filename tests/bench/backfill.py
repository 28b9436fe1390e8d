"""How many documents a second a backfill copies, side by side with the extension's import script.

Both run as their users run them, as a command from its start to its end, on the same emulators of Firestore and
BigQuery and on the same 20,000 documents of about 600 bytes. The script pages by 300, its default; its table exists
before, or it would wait 5 s for it. Ours makes its tables, takes the rows into the log and merges them; the script
appends only.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from google.cloud.firestore import GeoPoint

from infra.local.cloud import LocalCloud
from shared.adapters.firestore import FirestoreDocuments
from shared.adapters.firestore_scan import FirestoreScan
from shared.streaming.scan import Slice
from shared.streaming.streams import stream_of
from tests.bench.figure import Figure, compare
from tests.bench.stream import MODULES

UNIT = "documents/s"
DOCUMENTS = 20_000
RUNS = 3
TENANT = "bench"
SCRIPT = "@firebaseextensions/fs-bq-import-collection@0.1.27"
AGAINST = "fs-bq-import-collection 0.1.27, batches of 300"
DOCUMENT: dict[str, Any] = {
    "title": "A document of the bench",
    "day": "2026-01-05",
    "sessions": 1234,
    "rate": 12.5,
    "done": True,
    "tags": ["a", "b", "c"],
    "inner": {"a": 1, "b": "two", "c": None},
    "at": datetime(2026, 1, 5, tzinfo=UTC),
    "text": "lorem ipsum " * 20,
    "place": GeoPoint(1, 2),
    "nothing": None,
    "short": "short",
}


def backfill_docs_per_s() -> Figure:
    """From the start of the command until its rows are in the log and merged."""
    with _stores() as environment:
        ours, theirs = iter(range(RUNS)), iter(range(RUNS))
        _imported(environment, "one", documents=1)
        return compare(
            "backfill_docs_per_s",
            UNIT,
            lambda: _copied(environment, _collection(next(ours))),
            AGAINST,
            lambda: _imported(environment, _collection(next(theirs))),
            RUNS,
        )


def backfill_read_docs_per_s() -> Figure:
    """The same beside the ceiling: a bare reader, which does nothing with what the emulator sends it."""
    with _stores() as environment:
        ours, theirs = iter(range(RUNS)), iter(range(RUNS))
        return compare(
            "backfill_read_docs_per_s",
            UNIT,
            lambda: _copied(environment, _collection(next(ours))),
            "a bare reader of the emulator",
            lambda: _read(environment, _collection(next(theirs))),
            RUNS,
        )


def _copied(environment: dict[str, str], collection: str) -> float:
    """Documents a second of `scout backfill`."""
    command = [sys.executable, "-m", "infra.cli", "backfill", f"tenants/{TENANT}/{collection}", "--yes", "--json"]
    seconds, said = _timed(command, environment)
    run = orjson.loads(said)
    if run["added"] != DOCUMENTS:
        raise RuntimeError(f"{run['added']} documents were added")
    return DOCUMENTS / seconds


def _imported(environment: dict[str, str], collection: str, documents: int = DOCUMENTS) -> float:
    """Documents a second of the import script."""
    options = {
        "-P": environment["GOOGLE_CLOUD_PROJECT"],
        "-B": environment["GOOGLE_CLOUD_PROJECT"],
        "-q": "false",
        "-s": f"tenants/{TENANT}/{collection}",
        "-d": f"aso_tenant_{TENANT}",
        "-t": "imported",
        "-l": "us",
        "-m": "false",
        "-u": "true",
        "-e": "false",
    }
    command = ["node", str(_installed() / "lib" / "index.js"), "--non-interactive"]
    command += [word for option in options.items() for word in option]
    endpoint = f"{environment['BIGQUERY_EMULATOR_HOST']}/bigquery/v2"
    # Without the last one it looks for a metadata server and waits.
    local = {"BIGQUERY_EMULATOR_HOST": endpoint, "METADATA_SERVER_DETECTION": "none"}
    seconds, said = _timed(command, {**environment, **local})
    if f"{documents} Firestore rows" not in said:
        raise RuntimeError(f"the script failed: {said[-2000:]}")
    return documents / seconds


def _read(environment: dict[str, str], collection: str) -> float:
    """Documents a second of a bare reader."""
    scan = FirestoreScan.connect(environment["GOOGLE_CLOUD_PROJECT"])
    stream, at = stream_of(f"tenants/{TENANT}/{collection}"), scan.moment()
    began = time.perf_counter()
    if sum(len(page) for page in scan.pages(stream, Slice(), at)) != DOCUMENTS:
        raise RuntimeError("documents are missing")
    return DOCUMENTS / (time.perf_counter() - began)


def _timed(command: list[str], environment: dict[str, str]) -> tuple[float, str]:
    with tempfile.TemporaryDirectory() as folder:  # the script leaves a file where it runs
        began = time.perf_counter()
        done = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        seconds = time.perf_counter() - began
    if done.returncode:
        raise RuntimeError(f"{command[:4]} failed: {done.stdout[-1000:]}{done.stderr[-2000:]}")
    return seconds, done.stdout


@contextmanager
def _stores() -> Iterator[dict[str, str]]:
    """Fresh emulators with a collection of its own for each run, and a tenant's dataset."""
    with tempfile.TemporaryDirectory() as folder:
        nothing = Path(folder) / "functions"
        nothing.mkdir()
        with pytest.MonkeyPatch.context() as patched, LocalCloud(Path(folder) / "cloud", nothing) as cloud:
            cloud.tenant(TENANT)
            patched.setenv("FIRESTORE_EMULATOR_HOST", cloud.env["FIRESTORE_EMULATOR_HOST"])
            documents = FirestoreDocuments.connect(cloud.env["GOOGLE_CLOUD_PROJECT"], "(default)")
            documents.put(f"tenants/{TENANT}/one/one", DOCUMENT)
            for run in range(RUNS):
                path = f"tenants/{TENANT}/{_collection(run)}"
                documents.put_many((f"{path}/document-{number:05d}", DOCUMENT) for number in range(DOCUMENTS))
            yield cloud.env


def _collection(run: int) -> str:
    return f"things_{run}"


def _installed() -> Path:
    """The script's folder; npm installs it the first time."""
    found = MODULES / "node_modules" / SCRIPT.rpartition("@")[0]
    if not found.exists():
        MODULES.mkdir(parents=True, exist_ok=True)
        subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--silent", SCRIPT], cwd=MODULES, check=True)
    return found
