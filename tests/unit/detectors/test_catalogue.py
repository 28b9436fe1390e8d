"""Declarations: what is refused at load, and what the error says."""

import copy

import pytest
import yaml

from shared.detectors.catalogue import FOLDER, CatalogueError, catalogue, load
from shared.detectors.declaration import feature
from shared.detectors.explanation import explain, pages
from shared.detectors.muting import sources_of
from shared.errors import NotFound

TWELVE = {
    "page_cvr_drop", "page_traffic_drop", "page_engagement_drop", "page_high_traffic_low_cvr", "lp_not_set_share",
    "device_cvr_gap", "source_traffic_drop", "source_traffic_spike_quality", "channel_revenue_drop",
    "funnel_step_drop", "dq_missing_day", "dq_tracking_stopped",
}  # fmt: skip
GOOD = yaml.safe_load((FOLDER / "page.yaml").read_text())[0]


def _load(tmp_path, entries):
    (tmp_path / "page.yaml").write_text(yaml.safe_dump(entries))
    return load(tmp_path)


def test_the_catalogue_holds_the_detectors_of_the_loop():
    assert {detector.id for detector in catalogue()} >= TWELVE


def test_data_quality_comes_first():
    assert [detector.domain for detector in catalogue()][:2] == ["data_quality", "data_quality"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"metrics": ["sessions", "convertions"]}, "unknown metric 'convertions'"),
        ({"does_without": ["pageviews"]}, "does_without: 'pageviews' is none of `metrics`"),
        ({"guard": "cur_sessions >= min_sessions"}, "rates.base_cvr: unguarded ratio"),
        ({"value": {"range": "interval"}}, "a value needs a formula"),
        ({"value": {"formula": "cur_sessions", "none": "both"}}, "a value needs a formula"),
        ({"effect": "cur_cvr < base_cvr * unheard_of"}, "effect: unknown name 'unheard_of'"),
        ({"effect": "cur_conversions / cur_sessions < 1"}, "effect: division by 'cur_sessions'"),
        ({"entity_type": "planet"}, "'planet' is not one of"),
        ({"windows": {"base": {"days": 28, "before": "cur"}}}, "windows"),
        ({"test": {"name": "gut_feeling"}}, "'gut_feeling' is not one of"),
        ({"test": {"name": "two_proportion_z", "args": {"x1": "1"}}}, "two_proportion_z takes x1, n1, x2, n2"),
        ({"severety": {}}, "severety"),
        ({"recommendation": ""}, "recommendation"),
    ],
)
def test_refuses_and_says_where(tmp_path, change, field):
    with pytest.raises(CatalogueError) as refused:
        _load(tmp_path, [{**copy.deepcopy(GOOD), **change}])
    assert "page.yaml: page_cvr_drop: " in str(refused.value)
    assert field in str(refused.value)


def test_refuses_a_name_twice(tmp_path):
    with pytest.raises(CatalogueError, match="declared twice"):
        _load(tmp_path, [GOOD, GOOD])


@pytest.mark.parametrize("text", ["a: [", "just: a mapping", "- not a mapping"])
def test_refuses_a_file_that_is_no_list_of_detectors(tmp_path, text):
    (tmp_path / "page.yaml").write_text(text)
    with pytest.raises(CatalogueError, match=r"page\.yaml"):
        load(tmp_path)


def test_an_interval_is_refused_where_the_test_gives_none(tmp_path):
    test = {"name": "poisson_exact_zero", "args": {"expected": "expected_conversions"}}
    with pytest.raises(CatalogueError, match="gives no interval"):
        _load(tmp_path, [{**GOOD, "test": test}])


def test_explains_a_detector():
    told = explain("page_cvr_drop", None)
    assert told["thresholds"]["max_ratio_of_large"] == 0.75
    assert told["before_as_of"]["base"] == {"first": 7, "last": 34, "unit": "day"}
    assert "`aso_tenant_TENANT.daily_entity_metrics`" in told["statements"]["days"]


def test_an_unknown_detector_cannot_be_explained():
    with pytest.raises(NotFound):
        explain("nobody", None)


@pytest.mark.parametrize("detector", catalogue(), ids=lambda one: one.id)
def test_every_detector_has_its_place_in_the_docs(detector):
    assert f"## {detector.id}\n" in pages()[f"{detector.domain}.md"]
    assert f"({detector.domain}.md#{detector.id})" in pages()["README.md"]


def test_an_optional_part_silences_nothing():
    fruit = next(one for one in catalogue() if one.id == "kw_low_hanging_fruit")
    assert fruit.parts["landing"].optional
    assert sources_of(fruit) == ["keywords"]


def test_a_label_is_read_before_a_part_of_a_like_name():
    orphan = next(one for one in catalogue() if one.id == "content_hub_orphan_spoke")
    found = feature(orphan, "hub_id")
    assert found is not None
    assert (found.scope, found.kind) == ("own", "label")
