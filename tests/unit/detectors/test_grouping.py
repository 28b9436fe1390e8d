"""One cause, one opportunity: who leads, and who is listed under it."""

from datetime import UTC, date, datetime
from types import SimpleNamespace

import numpy as np
import pytest

from shared.detectors.entities import Entities
from shared.detectors.grouping import grouped
from shared.detectors.records import Finding
from shared.opportunities.lifecycle import identity
from shared.opportunities.records import EstimatedValue

LABELS = {
    ("source_medium", "news / email"): {"channel": "Email"},
    ("ad_group", "7"): {"campaign": "1"},
    ("browser", "Safari 18"): {"device": "mobile"},
    ("content", "c1"): {"page": "/guide"},
}


def _finding(detector, entity_type, entity_id, change, cause="sessions", direction="down", mid=None):
    return Finding(
        run_id="r", detector_id=detector, entity_type=entity_type, entity_id=entity_id, direction=direction,
        tenant_id="t", as_of=date(2026, 10, 18), opportunity_type="x", title="A title", confidence_score=0.5,
        severity="low", estimated_value=EstimatedValue(mid=mid), recommendation="Do it now.", evidence={},
        found_at=datetime(2026, 10, 19, tzinfo=UTC), change=change, cause=cause,
    )  # fmt: skip


class _Table:
    def entities(self, entity_type):
        ids = [one for kind, one in LABELS if kind == entity_type]
        names = {name for kind, one in LABELS if kind == entity_type for name in LABELS[kind, one]}
        labels = {name: np.array([LABELS[entity_type, one].get(name) for one in ids], dtype=object) for name in names}
        return Entities(entity_type, np.array(ids, dtype=object), np.zeros(len(ids), dtype=bool), labels=labels)


def _grouped(*findings, **yields_to):
    names = {one.detector_id for one in findings}
    detectors = [SimpleNamespace(id=name, yields_to=yields_to.get(name, [])) for name in names]
    found = grouped(list(findings), _Table(), detectors)
    leads = {identity("t", one): one.entity_id for one in found}
    return {one.entity_id: leads.get(one.part_of) for one in found}, {one.entity_id: one for one in found}


def _parts_of(*findings, **yields_to):
    detectors = [SimpleNamespace(id=one.detector_id, yields_to=yields_to.get(one.detector_id, [])) for one in findings]
    return {one.detector_id: one.part_of for one in grouped(list(findings), _Table(), detectors)}


def test_a_channel_leads_its_source_and_the_pages_that_fell_with_it():
    leads, found = _grouped(
        _finding("page_traffic_drop", "page", "/a", 100),
        _finding("source_traffic_drop", "source_medium", "news / email", 300),
        _finding("channel_traffic_drop", "channel", "Email", 1000),
    )
    assert leads == {"/a": "Email", "news / email": "Email", "Email": None}
    children = found["Email"].evidence["children"]
    assert [(child["entity_id"], child["share"]) for child in children] == [("news / email", 0.3), ("/a", 0.1)]


def test_a_source_is_no_part_of_a_channel_that_it_does_not_belong_to():
    source = _finding("source_traffic_drop", "source_medium", "news / email", 900)
    social = _finding("channel_traffic_drop", "channel", "Paid Social", 1000)
    assert _grouped(source, social)[0] == {"news / email": None, "Paid Social": None}
    leads, _ = _grouped(source, social, _finding("site_traffic_drop", "property", "site", 5000))
    assert leads == {"news / email": "site", "Paid Social": "site", "site": None}


@pytest.mark.parametrize(("change", "lead"), [(699, "Email"), (700, "news / email")])
def test_a_child_that_holds_most_of_the_change_leads(change, lead):
    leads, _ = _grouped(
        _finding("source_traffic_drop", "source_medium", "news / email", change),
        _finding("channel_traffic_drop", "channel", "Email", 1000),
        _finding("page_traffic_drop", "page", "/a", 50),
    )
    assert {name for name, of in leads.items() if of is None} == {lead}
    assert set(leads.values()) == {None, lead}


def test_other_causes_and_directions_have_other_roots():
    leads, _ = _grouped(
        _finding("channel_traffic_drop", "channel", "Email", 1000),
        _finding("page_engagement_drop", "page", "/a", 10, cause="engagement"),
        _finding("page_rise", "page", "/b", 10, direction="up"),
        _finding("page_level", "page", "/c", 10, cause=None),
    )
    assert set(leads.values()) == {None}


def test_two_of_a_kind_do_not_lead_each_other():
    leads, _ = _grouped(_finding("d", "page", "/a", 10), _finding("d", "page", "/b", 900))
    assert set(leads.values()) == {None}


def test_a_page_falls_with_its_own_entrances_and_with_those_of_no_other():
    leads = _parts_of(
        landing := _finding("lp_organic_entrance_decay", "landing_page", "/a", 100),
        _finding("own", "page", "/a", 40),
        _finding("other", "page", "/b", 40),
    )
    assert leads == {"lp_organic_entrance_decay": None, "own": identity("t", landing), "other": None}


def test_revenue_and_conversions_are_one_cause_and_compared_in_money():
    leads, _ = _grouped(
        _finding("channel_revenue_drop", "channel", "Email", 5000, cause="revenue", mid=5000.0),
        _finding("page_cvr_drop", "page", "/a", 80, cause="conversions", mid=4000.0),
    )
    assert leads == {"Email": "/a", "/a": None}


def test_a_label_names_the_parent():
    leads, _ = _grouped(
        _finding("campaign_cpa_spike", "campaign", "1", 100, cause="ad_waste"),
        _finding("campaign_cpa_spike", "campaign", "2", 900, cause="ad_waste"),
        _finding("adgroup_cpa_outlier", "ad_group", "7", 20, cause="ad_waste"),
    )
    assert leads == {"1": None, "2": None, "7": "1"}


def test_an_overlapping_detector_yields_on_the_same_entity_only():
    rank_drop = _finding("kw_rank_drop", "keyword", "shoes", 5, cause="ranking")
    lost_top3 = _finding("kw_lost_top3", "keyword", "shoes", 5, cause="ranking")
    assert _parts_of(rank_drop, lost_top3, kw_rank_drop=["kw_lost_top3"]) == {
        "kw_rank_drop": identity("t", lost_top3), "kw_lost_top3": None,
    }  # fmt: skip
    _, found = _grouped(
        _finding("kw_rank_drop", "keyword", "boots", 5, cause="ranking"),
        _finding("kw_lost_top3", "keyword", "shoes", 5, cause="ranking"),
        kw_rank_drop=["kw_lost_top3"],
    )
    assert found["boots"].part_of is None


def test_an_overlapping_detector_yields_to_one_of_the_same_thing_in_another_type():
    leads, _ = _grouped(
        _finding("content_decay", "content", "c1", 50),
        _finding("lp_organic_entrance_decay", "landing_page", "/guide", 40),
        _finding("device_cvr_sudden_drop", "device", "mobile", 9, cause="conversions"),
        _finding("device_browser_breakage", "browser", "Safari 18", 8, cause="conversions"),
        content_decay=["lp_organic_entrance_decay"],
        device_cvr_sudden_drop=["device_browser_breakage"],
    )
    assert leads == {"c1": "/guide", "/guide": None, "mobile": "Safari 18", "Safari 18": None}


def test_yielding_passes_on_to_who_leads_at_last():
    leads, found = _grouped(
        _finding("channel_traffic_drop", "channel", "Email", 1000),
        _finding("lp_organic_entrance_decay", "landing_page", "/guide", 40),
        _finding("content_decay", "content", "c1", 50),
        content_decay=["lp_organic_entrance_decay"],
    )
    assert leads == {"Email": None, "/guide": "Email", "c1": "Email"}
    assert len(found["Email"].evidence["children"]) == 2


def test_detectors_that_yield_to_each_other_still_have_one_that_leads():
    one, other = _finding("one", "keyword", "a", 5, cause=None), _finding("other", "keyword", "a", 5, cause=None)
    assert _parts_of(one, other, one=["other"], other=["one"]) == {"one": None, "other": identity("t", one)}


def test_order_of_findings_does_not_matter():
    findings = [
        _finding("page_traffic_drop", "page", "/a", 100),
        _finding("source_traffic_drop", "source_medium", "news / email", 800),
        _finding("channel_traffic_drop", "channel", "Email", 1000),
    ]
    assert _grouped(*findings)[0] == _grouped(*reversed(findings))[0]
