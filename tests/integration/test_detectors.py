"""The catalogue on the emulated BigQuery: POST to run_detectors, the message it publishes, what lies in the tables."""

import pytest

from shared.detectors.catalogue import catalogue
from tests.support.bigquery import bigquery_emulator
from tests.support.detector_cases import FOUND, edge, found
from tests.support.detectors import Bench, connect


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory):
    with bigquery_emulator(tmp_path_factory.mktemp("bigquery") / "log") as settings:
        yield connect(settings)


@pytest.fixture(scope="module")
def finds(warehouse):
    bench = Bench(warehouse, "finds")
    bench.load(found())
    return bench, *bench.run()


@pytest.fixture(scope="module")
def silent(warehouse):
    bench = Bench(warehouse, "silent")
    bench.load(edge(0))
    return bench.run()


@pytest.fixture(scope="module")
def on_the_edge(warehouse):
    bench = Bench(warehouse, "edge")
    bench.load(edge(1))
    return bench.run()


def _identities(findings):
    return {(row["detector_id"], row["entity_type"], row["entity_id"], row["direction"]) for row in findings}


@pytest.mark.parametrize("expected", sorted(FOUND), ids=lambda expected: expected[0])
def test_finds(finds, expected):
    assert expected in _identities(finds[2])


def test_finds_nothing_else(finds):
    assert _identities(finds[2]) == FOUND


@pytest.mark.parametrize("detector", catalogue(), ids=lambda detector: detector.id)
def test_stays_silent_just_below_its_guard(silent, detector):
    run, findings = silent
    assert detector.id in run.ran
    assert detector.id not in {row["detector_id"] for row in findings}


@pytest.mark.parametrize("detector", catalogue(), ids=lambda detector: detector.id)
def test_finds_where_its_guard_is_just_met(on_the_edge, detector):
    assert detector.id in {row["detector_id"] for row in on_the_edge[1]}


def test_stays_silent_and_says_so_without_any_data(warehouse):
    run, findings = Bench(warehouse, "nothing").run()
    assert findings == []
    assert run.ran == []
    assert set(run.muted) == {detector.id for detector in catalogue()}
    assert all(reason.startswith("no data") for reason in run.muted.values())
