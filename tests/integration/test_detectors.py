"""The catalogue on the emulated BigQuery, with the real compiled SQL: three cases of every detector.

Each domain's cases are one tenant a kind: what is found, what lies just below a guard, what lies just on it.
"""

import pytest

from shared.detectors.catalogue import catalogue
from shared.detectors.compiler import compiled
from tests.support.bigquery import bigquery_emulator
from tests.support.cases import domains
from tests.support.detectors import Bench, connect

DOMAINS = domains()
CASES = [pytest.param(one, id=one.id) for one in catalogue() if one.domain in DOMAINS]


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory):
    with bigquery_emulator(tmp_path_factory.mktemp("bigquery") / "log") as settings:
        yield connect(settings)


@pytest.fixture(scope="module")
def runs(warehouse):
    """A run of one kind of one domain's cases; each is made once."""
    known = {}

    def run(domain, kind, rows):
        if (domain, kind) not in known:
            own = tuple(one for one in catalogue() if one.domain == domain)
            bench = Bench(warehouse, f"{kind}_{domain}", **getattr(DOMAINS[domain], "TENANT", {}))
            bench.load(rows())
            bench.roll_up()
            if kind != "finds":
                # The emulator takes seconds to translate the whole catalogue: once a domain is enough.
                bench.judge_by(compiled(own))
            known[domain, kind] = bench.run()
        return known[domain, kind]

    return run


def _of_domain(domain, findings):
    own = {one.id for one in catalogue() if one.domain == domain}
    return {
        (row["detector_id"], row["entity_type"], row["entity_id"], row["direction"])
        for row in findings
        if row["detector_id"] in own
    }


@pytest.mark.parametrize("domain", sorted({one.domain for one in catalogue()}))
def test_every_domain_has_its_cases(domain):
    assert domain in DOMAINS


@pytest.mark.parametrize("detector", CASES)
def test_finds(runs, detector):
    module = DOMAINS[detector.domain]
    run, findings = runs(detector.domain, "finds", module.found)
    assert detector.id in run.ran, run.muted.get(detector.id)
    expected = {one for one in module.FOUND if one[0] == detector.id}
    assert expected, "the domain's cases have none of this detector"
    assert expected <= _of_domain(detector.domain, findings)


@pytest.mark.parametrize("domain", DOMAINS)
def test_finds_nothing_else_of_its_domain(runs, domain):
    _, findings = runs(domain, "finds", DOMAINS[domain].found)
    assert _of_domain(domain, findings) == DOMAINS[domain].FOUND


@pytest.mark.parametrize("detector", CASES)
def test_stays_silent_just_below_its_guard(runs, detector):
    run, findings = runs(detector.domain, "below", lambda: DOMAINS[detector.domain].edge(0))
    assert detector.id in run.ran, run.muted.get(detector.id)
    assert detector.id not in {row["detector_id"] for row in findings}


@pytest.mark.parametrize("detector", CASES)
def test_finds_where_its_guard_is_just_met(runs, detector):
    _, findings = runs(detector.domain, "on", lambda: DOMAINS[detector.domain].edge(1))
    assert detector.id in {row["detector_id"] for row in findings}


def test_stays_silent_and_says_so_without_any_data(warehouse):
    run, findings = Bench(warehouse, "nothing").run()
    assert findings == []
    assert run.ran == []
    assert set(run.muted) == {detector.id for detector in catalogue()}
    assert all(reason.startswith("no data") for reason in run.muted.values())


@pytest.mark.parametrize("detector", CASES)
def test_every_finding_can_be_read(runs, detector):
    """Confidence between 0 and 1, a value range in order or a reason, a change that is above 0."""
    module = DOMAINS[detector.domain]
    _, findings = runs(detector.domain, "finds", module.found)
    for row in (row for row in findings if row["detector_id"] == detector.id):
        value = row["estimated_value"]
        assert 0 < row["confidence_score"] <= 1
        assert value["reason"] or 0 <= value["low"] <= value["mid"] <= value["high"]
        assert row["change"] > 0
