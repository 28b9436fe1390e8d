"""100,000 changes through everything that can go wrong: what was lost or doubled, and how fast it went all the same.

The same run as tests/integration/test_chaos.py, ten times as long. An event a second counts once, however often it was
delivered.
"""

import os
import tempfile
from functools import cache
from pathlib import Path

from infra.local.cloud import LocalCloud
from shared.runtime.clients import Clients
from shared.settings import Settings
from tests.bench.figure import Figure
from tests.support.chaos import Chaos

SEED = 4
EVENTS = 100_000


def chaos_silent_losses() -> Figure:
    """Events that are neither durable nor set aside."""
    return _figure("chaos_silent_losses", _run().found["silent losses"], "events")


def chaos_duplicates_in_view() -> Figure:
    """Rows of views and bases beyond one a document, and changes beyond one in compacted logs."""
    run = _run()
    twice = run.compared.duplicates + run.found["changes twice in the log"]
    return _figure("chaos_duplicates_in_view", twice, "rows")


def chaos_differences() -> Figure:
    """Whatever is not as the simulated Firestore has it."""
    return _figure("chaos_differences", len(_run().compared.differences), "differences")


def chaos_events_per_s() -> Figure:
    """Events a second, repeats not counted, while processes die and tables are merged."""
    run = _run()
    return _figure("chaos_events_per_s", round(run.events / run.seconds, 1), "events/s")


@cache
def _run() -> Chaos:
    with tempfile.TemporaryDirectory() as folder, LocalCloud(Path(folder) / "cloud", only=()) as cloud:
        os.environ.update(cloud.env)
        return Chaos(cloud, Clients(Settings()), Path(folder), SEED, EVENTS).run()


def _figure(name: str, value: float, unit: str) -> Figure:
    return Figure(name, value, unit, None, None, None, 1, value, value)
