"""Documents a second that a verification compares, as a command from its start to its end, and in how much memory."""

import sys

import orjson

from tests.bench.backfill import DOCUMENTS, RUNS, TENANT, _collection, _copied, _read, _stores, _timed
from tests.bench.figure import Figure, compare


def verify_docs_per_s() -> Figure:
    """20,000 equal documents of about 600 bytes, beside the ceiling: a reader of Firestore that does no more."""
    with _stores() as environment:
        for run in range(RUNS):
            _copied(environment, _collection(run))
        ours, theirs = iter(range(RUNS)), iter(range(RUNS))
        return compare(
            "verify_docs_per_s",
            "documents/s",
            lambda: _compared(environment, _collection(next(ours))),
            "a bare reader of the emulator",
            lambda: _read(environment, _collection(next(theirs))),
            RUNS,
        )


def verify_mb() -> Figure:
    """The most memory that the command ever had, beside one that compares a single document."""
    with _stores() as environment:
        _copied(environment, _collection(0))
        return compare(
            "verify_mb",
            "MB",
            lambda: _most_memory(environment, _collection(0)),
            "one document",
            lambda: _most_memory(environment, "one"),
            1,
        )


def _compared(environment: dict[str, str], collection: str) -> float:
    """Documents a second of `scout verify`."""
    seconds, said = _timed(_command(collection), environment)
    if orjson.loads(said)["counts"] != {"equal": DOCUMENTS}:
        raise RuntimeError(f"they differ: {said[:1000]}")
    return DOCUMENTS / seconds


def _command(collection: str) -> list[str]:
    return [sys.executable, "-m", "infra.cli", "verify", f"tenants/{TENANT}/{collection}", "--json"]


def _most_memory(environment: dict[str, str], collection: str) -> float:
    """Megabytes that a child process of its own had at most."""
    script = "import resource,subprocess,sys;subprocess.run(sys.argv[1:],stdout=subprocess.DEVNULL);"
    script += "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    _, said = _timed([sys.executable, "-c", script, *_command(collection)], environment)
    return float(said) / 1024
