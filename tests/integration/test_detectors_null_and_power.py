"""What makes the whole catalogue worth trusting: where nothing happened it is silent, and what it promises it finds.

The sites are arrays (tests/support/worlds.py), judged by the real declarations and the real tests. That the arrays are
what the compiled statements yield is shown on one site on the emulated BigQuery.
"""

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
import pytest
from scipy import stats

from shared.detectors.catalogue import catalogue
from shared.detectors.compiler import compiled, plan
from shared.detectors.judgement import Run, judge
from tests.support import worlds
from tests.support.bigquery import bigquery_emulator
from tests.support.detectors import Bench, connect
from tests.support.plants import PLANTS, planted

CHANGES = tuple(one for one in catalogue() if worlds.is_change(one))
NOT_PLANTED = {
    "sub_mrr_drop": "its effect is in deviations of twelve months, of which two are 95% sure whatever the volume",
    "x_keyword_rank_to_revenue": "its effect is that nothing rises: there is no threshold to plant twice of",
    "lp_new_page_underperforms": "a page must be replaced for it; its cases do so",
}
SHUFFLES, SITES, REPLICATES = 20, 8, 40
MOST_OF_ALL, MOST_OF_ONE, SURE = 0.01, 0.03, 0.05
LEAST_FOUND = 0.8


@dataclass
class Count:
    """Entities judged and flagged, by detector."""

    judged: Counter[str] = field(default_factory=Counter)
    flagged: Counter[str] = field(default_factory=Counter)

    def judge(self, world: worlds.World) -> None:
        """All change detectors on one site."""
        table = worlds.table(world, of=COMPILED)
        run = Run(table.tenant, "null", table.coverage, datetime.now(UTC))
        for detector in CHANGES:
            if table.coverage.lacking(detector) is None:
                judged = judge(run, detector, table)
                self.judged[detector.id] += judged.tested
                self.flagged[detector.id] += len(judged.findings)

    def share(self) -> float:
        return self.flagged.total() / self.judged.total()

    def too_many(self) -> dict[str, tuple[int, int]]:
        """Detectors that surely flag more than their share, with flagged and judged: of few a flag or two is chance."""
        return {
            name: (self.flagged[name], judged)
            for name, judged in self.judged.items()
            if stats.binom.sf(self.flagged[name] - 1, judged, MOST_OF_ONE) < SURE
        }


COMPILED = compiled(CHANGES)


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory):
    with bigquery_emulator(tmp_path_factory.mktemp("bigquery") / "log") as settings:
        yield connect(settings)


@pytest.fixture(scope="module")
def generated():
    """Twenty shuffles of each of several sites made of noise."""
    count = Count()
    for seed in range(SITES):
        generator = np.random.default_rng(seed)
        site = worlds.generated(generator, CHANGES)
        for _ in range(SHUFFLES):
            count.judge(worlds.with_newcomers(generator, worlds.shuffled(generator, site)))
    return count


@pytest.fixture(scope="module")
def real():
    """Twenty shuffles of the sample's real weeks."""
    count, generator, site = Count(), np.random.default_rng(1), worlds.of_sample()
    for _ in range(SHUFFLES):
        count.judge(worlds.shuffled(generator, site))
    return count


def test_on_shuffled_weeks_of_noise_at_most_one_entity_in_a_hundred_is_flagged(generated):
    assert generated.share() <= MOST_OF_ALL


def test_on_shuffled_weeks_of_noise_no_detector_flags_too_much(generated):
    assert generated.too_many() == {}


def test_every_change_detector_judges_the_noise(generated):
    assert {one.id for one in CHANGES} == {name for name, judged in generated.judged.items() if judged}


def test_on_shuffled_weeks_of_the_real_shop_at_most_one_entity_in_a_hundred_is_flagged(real):
    assert real.judged.total() >= 1_500
    assert real.share() <= MOST_OF_ALL


def test_on_shuffled_weeks_of_the_real_shop_no_detector_flags_too_much(real):
    assert real.too_many() == {}


def test_every_change_detector_is_planted_or_says_why_not():
    assert set(PLANTS) | set(NOT_PLANTED) == {one.id for one in CHANGES}
    assert not set(PLANTS) & set(NOT_PLANTED)


@pytest.mark.parametrize("detector", [one for one in CHANGES if one.id in PLANTS], ids=lambda one: one.id)
def test_finds_eight_in_ten_effects_of_twice_its_threshold_at_three_times_its_guard(detector):
    own, found = compiled((detector,)), 0
    for seed in range(REPLICATES):
        world, entity = planted(np.random.default_rng(seed), detector)
        table = worlds.table(world, of=own)
        assert table.coverage.lacking(detector) is None
        findings = judge(Run(table.tenant, "power", table.coverage, datetime.now(UTC)), detector, table).findings
        found += entity in {one.entity_id for one in findings}
    assert found >= LEAST_FOUND * REPLICATES


def test_the_arrays_are_what_the_statements_yield(warehouse):
    """The same findings, with the same p, of one site with things planted into it."""
    generator = np.random.default_rng(4)
    world = worlds.smaller(worlds.generated(generator, CHANGES), 5)
    for group in world.values():
        for metric in ("conversions", "engaged_sessions", "clicks", "delivered", "revenue", "orders"):
            if metric in group.metrics:
                group.metrics[metric][0, :14] = np.floor(group.metrics[metric][0, :14] * 0.3)
    bench = Bench(warehouse, "arrays")
    bench.load(worlds.rows(world))
    bench.roll_up()
    run, findings = bench.run()
    stored = {(row["detector_id"], row["entity_id"]): row["p_value"] or 0.0 for row in findings}
    table = worlds.table(world, of=plan())
    account = Run(table.tenant, "arrays", table.coverage, datetime.now(UTC))
    worked_out = {
        (detector.id, one.entity_id): one.p_value or 0.0
        for detector in catalogue()
        if detector.id in run.ran
        for one in judge(account, detector, table).findings
    }
    assert len(worked_out) >= 10
    assert stored.keys() == worked_out.keys()
    assert stored == pytest.approx(worked_out, rel=1e-6, abs=1e-9)
