"""The catalogue on the emulated BigQuery: POST to run_detectors, the message it publishes, what lies in the tables."""

import pytest

from tests.support.bigquery import bigquery_emulator
from tests.support.detectors import Bench, connect, series


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory):
    with bigquery_emulator(tmp_path_factory.mktemp("bigquery") / "log") as settings:
        yield connect(settings)


def test_a_page_that_lost_its_conversions_is_found_and_its_neighbours_are_not(warehouse):
    bench = Bench(warehouse, "skeleton")
    for page in range(10):
        fallen = page == 3
        bench.load(
            series(
                "page",
                f"/p/{page}",
                35,
                lambda ago, fallen=fallen: {
                    "sessions": 100,
                    "conversions": 1.0 if fallen and ago < 7 else 5.0,
                    "revenue": 50.0 if fallen and ago < 7 else 250.0,
                },
            )
        )
    run, findings = bench.run()
    assert [(row["detector_id"], row["entity_id"]) for row in findings] == [("page_cvr_drop", "/p/3")]
    assert run.findings == 1
