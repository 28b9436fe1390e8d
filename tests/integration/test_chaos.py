"""10,000 changes, delivered twice, shuffled, late, through failing, slow and refusing appends, into processes that are
killed, while tables are merged and compacted: BigQuery ends as Firestore, and nothing is lost on the way.
"""

import pytest

from infra.local.cloud import LocalCloud
from shared.runtime.clients import Clients
from shared.settings import Settings
from tests.support.chaos import Chaos

SEED = 20261121
EVENTS = 10_000


@pytest.fixture
def cloud(tmp_path, monkeypatch):
    with LocalCloud(tmp_path / "cloud", only=()) as started:
        for name, value in started.env.items():
            monkeypatch.setenv(name, value)
        yield started


def test_bigquery_ends_as_firestore_whatever_happens_on_the_way(cloud, tmp_path):
    chaos = Chaos(cloud, Clients(Settings()), tmp_path, SEED, EVENTS).run()
    found = chaos.found
    assert chaos.compared.differences == []
    assert found["silent losses"] == chaos.compared.duplicates == found["changes twice in the log"] == 0
    assert found["durable and set aside"] == 0
    # It was as bad as it was meant to be.
    happened = ("killed", "terminated", "cut", "broken before", "broken after", "slow before", "slow after", "refused")
    assert [what for what in happened if not found[what]] == []
    assert found["merges"] > 10
    assert found["compacted meanwhile"]
    assert found["rows of the log"] > found["rows of the compacted log"] == EVENTS
