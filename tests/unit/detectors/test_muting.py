"""What the detectors of data quality do to the findings of others."""

from datetime import UTC, date, datetime, timedelta

import pytest

from shared.detectors.catalogue import catalogue
from shared.detectors.coverage import Coverage
from shared.detectors.judgement import Judged
from shared.detectors.muting import Mutes
from shared.detectors.records import Finding
from shared.opportunities.records import EstimatedValue

DETECTORS = {one.id: one for one in catalogue()}
AS_OF = date(2026, 10, 18)


def _finding(detector, entity_id, **numbers):
    return Finding(
        run_id="r", detector_id=detector, entity_type=DETECTORS[detector].entity_type, entity_id=entity_id,
        direction="down", tenant_id="t", as_of=AS_OF, opportunity_type="x", title="A title", confidence_score=0.8,
        severity="low", estimated_value=EstimatedValue(mid=1000.0), recommendation="Do it now.", ranking=800.0,
        evidence={"numbers": numbers}, found_at=datetime(2026, 10, 19, tzinfo=UTC),
    )  # fmt: skip


def _heard(mutes, detector, *findings):
    return mutes.heard(DETECTORS[detector], Judged(len(findings), list(findings))).findings


def test_a_finding_that_is_doubted_ranks_by_what_confidence_is_left():
    mutes = Mutes(Coverage(AS_OF, {}, {}))
    _heard(mutes, "dq_volume_anomaly", _finding("dq_volume_anomaly", "ga_page_performance"))
    [doubted] = _heard(mutes, "page_cvr_drop", _finding("page_cvr_drop", "/a"))
    assert (doubted.confidence_score, doubted.ranking) == (0.4, 400.0)


def test_of_two_doubts_about_one_thing_the_graver_counts():
    mutes = Mutes(Coverage(AS_OF, {}, {}))
    shares = [_finding("lp_not_set_share", "(not set)", share=share) for share in (0.5, 0.1)]
    _heard(mutes, "lp_not_set_share", *shares)
    [doubted] = _heard(mutes, "lp_paid_low_cvr", _finding("lp_paid_low_cvr", "/a"))
    assert doubted.confidence_score == 0.4


def test_what_is_missing_because_it_was_expected_is_said():
    days = {"page": frozenset(range(11)) | frozenset(range(22, 100)), "property": frozenset(range(100))}
    sale = [AS_OF - timedelta(days=ago) for ago in range(11, 22)]
    said = Coverage.of(AS_OF, days, left_out=sale).lacking(DETECTORS["page_cvr_drop"])
    rows = "no data: page has rows on 17 of the 28 days of window base"
    assert said == f"{rows}; 11 are left out for expected events"
    assert Coverage.of(AS_OF, days).lacking(DETECTORS["page_cvr_drop"]) == rows


@pytest.mark.parametrize(
    ("source", "detector"),
    [("ga_funnel_events", "dq_tracking_stopped"), ("ga_landing_pages", "lp_not_set_share")],
    ids=["an event that nobody loaded has not stopped", "a share of days that are missing is no share"],
)
def test_what_silences_others_is_silenced_itself_where_its_own_days_are_missing(source, detector):
    every = frozenset(range(100))
    mutes = Mutes(Coverage(AS_OF, dict.fromkeys(("event", "landing_page", "property"), every), {}))
    assert not mutes.silences(DETECTORS[detector])
    missing = _finding("dq_missing_day", source)
    missing.evidence["missing_days"] = [AS_OF.isoformat()]
    _heard(mutes, "dq_missing_day", missing)
    assert mutes.silences(DETECTORS[detector])
    assert mutes.reasons[detector].startswith(f"{source} has no rows on 2026-10-18")
