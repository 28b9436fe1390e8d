"""Every metric that a detector names has a home; the detectors that no ETL path serves yet are named."""

import pytest

from infra.generate import ROOT
from shared.analytics.attributes import ATTRIBUTES
from shared.analytics.entities import ENTITIES
from shared.detectors.catalogue import catalogue
from shared.detectors.homes import made, read, sources_of, waits_for
from shared.detectors.metrics import ENTITY_TYPES, LABELS, METRICS, SOURCES

CATALOGUE = {one.id: one for one in catalogue()}


@pytest.mark.parametrize("detector", CATALOGUE.values(), ids=list(CATALOGUE))
def test_every_metric_is_a_column_or_a_registered_key_and_every_entity_has_a_source(detector):
    for entity_type, names in read(detector).items():
        assert names <= {*METRICS, *LABELS}
        assert entity_type in ENTITY_TYPES
    assert sources_of(detector) or detector.domain == "data_quality"


@pytest.mark.parametrize("detector", CATALOGUE.values(), ids=list(CATALOGUE))
def test_its_page_names_what_no_etl_path_makes_of_what_it_reads(detector):
    page = (ROOT / "docs" / "detectors" / f"{detector.domain}.md").read_text()
    section = page.split(f"## {detector.id}\n")[1].split("\n## ")[0]
    waiting = waits_for(detector)
    assert ("| waits for |" in section) == bool(waiting)
    for entity_type, names in waiting.items():
        assert f"`{entity_type}`: {', '.join(names) or 'rows'}" in section


def test_the_detectors_of_the_loop_wait_for_nothing():
    alive = {"page_cvr_drop", "page_traffic_drop", "source_traffic_drop", "channel_revenue_drop", "funnel_step_drop"}
    alive |= {
        "lp_not_set_share",
        "device_cvr_gap",
        "dq_missing_day",
        "dq_tracking_stopped",
        "page_high_traffic_low_cvr",
    }
    assert {name for name in alive if waits_for(CATALOGUE[name])} == set()


def test_one_that_reads_what_nobody_makes_waits():
    detector = CATALOGUE["page_cvr_drop"].model_copy(
        update={"metrics": ["sessions", "clicks"], "guard": "cur_clicks > 1"}
    )
    assert waits_for(detector) == {"page": ["clicks"]}
    assert waits_for(detector.model_copy(update={"does_without": ["clicks"]})) == {}
    nowhere = detector.model_copy(update={"entity_type": "plan"})
    assert "clicks" in waits_for(nowhere)["plan"]


def test_what_the_etl_says_that_it_makes_is_registered():
    for entity in ENTITIES:
        assert set(entity.keys) <= set(ATTRIBUTES)
    assert all(names for names in made().values())
    assert set(SOURCES) <= ENTITY_TYPES
