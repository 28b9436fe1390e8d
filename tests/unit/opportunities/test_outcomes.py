import math
from datetime import UTC, date, datetime, timedelta
from typing import Any

import orjson
import pytest
from scipy import stats

from shared.opportunities.outcomes import SETTLING_DAYS, WINDOW_DAYS, Due, due, judge, measure
from tests.fakes import ScriptedWarehouse
from tests.unit.opportunities.samples import NOW

COMPLETED = datetime(2026, 3, 31, 22, tzinfo=UTC)
AS_OF = date(2026, 5, 10)


def completed(**changes: Any) -> dict[str, Any]:
    """A completed opportunity as it is stored."""
    return {
        "opportunity_id": "a",
        "status": "completed",
        "detector_id": "page_traffic_drop",
        "entity_type": "page",
        "entity_id": "/pricing",
        "cause": "sessions",
        "completed_at": COMPLETED,
        "evidence": {"value": {"value_per_conversion": 50.0}},
        "estimated_value": {"mid": 10.0, "currency": "EUR"},
        **changes,
    }


def one(**changes: Any) -> Due:
    return Due.model_validate(completed(**changes))


def weeks(
    own: tuple[float | None, float | None],
    site: tuple[float | None, float | None] = (1000.0, 1000.0),
    size: tuple[float, float] = (100.0, 100.0),
    peers: int = 0,
    mean: float | None = None,
    deviation: float | None = None,
    noise: float = 0.0,
) -> list[dict[str, Any]]:
    """Rows as the statement gives them: a week's figures before and after."""
    return [
        {
            "opportunity_id": "a",
            "week": week,
            "own_numerator": None if own[week // 4] is None else own[week // 4] * (1 + noise * (-1) ** week),  # type: ignore[operator]
            "own_denominator": size[week // 4],
            "site_numerator": site[week // 4],
            "site_denominator": 10 * size[week // 4],
            "peers": peers or None,
            "mean": mean,
            "deviation": deviation,
        }
        for week in range(8)
    ]


def judged(rows: list[dict[str, Any]], **changes: Any) -> Any:
    return judge(one(**changes), rows, AS_OF, NOW)


# --- when ------------------------------------------------------------------------------------------------------------


def test_windows_leave_out_the_day_itself_and_the_days_to_settle():
    assert one().windows == (date(2026, 3, 3), date(2026, 3, 30), date(2026, 4, 3), date(2026, 4, 30))
    assert (one().windows[3] - COMPLETED.date()).days == WINDOW_DAYS + SETTLING_DAYS


def test_due_on_the_last_day_after_and_not_before():
    stored = {"a": completed()}
    assert due(stored, date(2026, 4, 29)) == []
    assert [found.opportunity_id for found in due(stored, date(2026, 4, 30))] == ["a"]


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "new"},
        {"status": {"a": 1}},
        {"outcome": {"verdict": "paid"}},
        {"completed_at": None},
        {"entity_id": 5},
    ],
)
def test_what_is_not_completed_or_measured_already_or_unreadable_is_not_due(changes: dict[str, Any]):
    assert due({"a": completed(**changes)}, AS_OF) == []


# --- the verdict -----------------------------------------------------------------------------------------------------


def test_effect_is_beyond_what_the_peers_did_and_its_interval_is_of_one_more_of_them():
    found = judged(weeks((1000, 1500), peers=9, mean=math.log(1.2), deviation=0.05))
    ratio = (6000.5 / 4000.5) / 1.2
    margin = stats.t.ppf(0.95, 8) * 0.05 * math.sqrt(1 + 1 / 9)
    assert found.verdict == "paid"
    assert (found.before, found.after, found.peers, found.compared_with) == (4000, 6000, 9, "peers")
    assert found.peers_change == pytest.approx(0.2)
    assert found.effect == pytest.approx(ratio - 1)
    assert found.effect_low == pytest.approx(ratio * math.exp(-margin) - 1)
    assert found.effect_high == pytest.approx(ratio * math.exp(margin) - 1)


@pytest.mark.parametrize(
    ("after", "deviation", "verdict"),
    [
        (2000, 0.1, "paid"),
        (1000, 0.01, "did_not_pay"),
        (500, 0.1, "did_not_pay"),
        (1000, 0.2, "unclear"),
        (1200, 0.2, "unclear"),
    ],
)
def test_verdict_is_of_the_interval(after: float, deviation: float, verdict: str):
    assert judged(weeks((1000, after), peers=20, mean=0.0, deviation=deviation)).verdict == verdict


def test_with_fewer_than_five_peers_all_others_summed_stand_for_them():
    found = judged(weeks((1000, 2000), site=(5000, 5000), peers=4, mean=9.0, deviation=9.0, noise=0.02))
    assert (found.verdict, found.compared_with, found.peers) == ("paid", "site", 4)
    assert found.effect == pytest.approx(1.0, abs=0.001)
    # The same by scipy: two samples of four weekly logarithms.
    before = [math.log((1000 * (1 + 0.02 * s) + 0.5) / 5000.5) for s in (1, -1, 1, -1)]
    after = [math.log((2000 * (1 + 0.02 * s) + 0.5) / 5000.5) for s in (1, -1, 1, -1)]
    interval = stats.ttest_ind(after, before).confidence_interval(0.9)
    wide = math.log1p(found.effect_high) - math.log1p(found.effect_low)
    assert wide == pytest.approx(interval.high - interval.low)


def test_without_peers_and_site_nothing_can_be_said():
    found = judged(weeks((1000, 2000), site=(None, None)))
    assert (found.verdict, found.reason) == (None, "No peers: cannot say.")


def test_too_few_weeks_tell_nothing_of_chance():
    rows = [row for row in weeks((1000, 2000), noise=0.1) if row["week"] not in (1, 2)]
    assert "too few weeks" in judged(rows).reason


@pytest.mark.parametrize("own", [(None, 1000), (1000, None), (None, None)])
def test_entity_without_figures_in_a_window_has_no_verdict(own: Any):
    found = judged(weeks(own, peers=9, mean=0.0, deviation=0.1))
    assert (found.verdict, found.reason) == (None, "It has no figures in one of the two windows.")
    assert judged([]).verdict is None


@pytest.mark.parametrize(("cause", "said"), [("mrr", "its cause, mrr"), (None, "without a cause")])
def test_cause_that_no_metric_tells_of_is_said(cause: str | None, said: str):
    found = judged([], cause=cause)
    assert found.verdict is None
    assert said in found.reason


@pytest.mark.parametrize(
    ("changes", "metric"),
    [
        ({"evidence": {"rates": {"cur_cvr": "cur_conversions / cur_sessions"}}}, "conversions / sessions"),
        ({"evidence": {"rates": {"er": "engaged_sessions / sessions"}}}, "engaged_sessions / sessions"),
        ({"evidence": {"rates": {"x": "cur_opens / cur_sends"}}}, None),
        ({"evidence": {"rates": ["?"]}}, None),
        ({"entity_type": "keyword"}, "clicks"),
        ({"cause": "email", "entity_type": "keyword"}, None),
    ],
)
def test_finding_without_a_cause_is_measured_by_the_rate_that_was_judged(changes: dict[str, Any], metric: str | None):
    found = one(**{"cause": None, **changes}).metric
    assert (found.words if found else None) == metric


# --- the gain --------------------------------------------------------------------------------------------------------


def test_gain_of_conversions_is_what_the_peers_course_would_not_have_brought():
    rows = weeks((2, 4), size=(100, 120), peers=9, mean=math.log(1.1), deviation=0.05)
    found = judged(rows, cause="conversions")
    assert (found.metric, found.verdict, found.currency) == ("conversions / sessions", "paid", "EUR")
    assert (found.before, found.after) == (pytest.approx(0.02), pytest.approx(4 / 120))
    assert found.gained_value == pytest.approx((16 - 0.02 * 1.1 * 480) * 50 * 30 / 28, abs=0.01)


def test_gain_of_revenue_needs_no_value_of_a_unit():
    found = judged(weeks((100, 50), peers=9, mean=0.0, deviation=0.05), cause="revenue", evidence={})
    assert (found.verdict, found.gained_value) == ("did_not_pay", pytest.approx(-200 * 30 / 28, abs=0.01))


def test_cost_per_conversion_pays_by_falling():
    rows = weeks((1000, 600), size=(10, 10), peers=9, mean=0.0, deviation=0.05)
    found = judged(rows, cause="ad_waste")
    assert (found.verdict, found.metric) == ("paid", "cost / conversions")
    assert found.effect == pytest.approx(-0.4)
    assert found.gained_value == pytest.approx(1600 * 30 / 28, abs=0.01)


@pytest.mark.parametrize(
    ("cause", "evidence", "deviation", "said"),
    [
        ("sessions", {}, 0.05, "What sessions are worth"),
        ("engagement", {}, 0.05, "What engaged sessions are worth"),
        ("conversions", {"value": {}}, 0.05, "No revenue per conversion"),
        ("conversions", {"value": []}, 0.05, "No revenue per conversion"),
        ("revenue", {}, 2.0, "Not told apart from chance"),
    ],
)
def test_gain_that_would_not_be_honest_is_not_stated(cause: str, evidence: Any, deviation: float, said: str):
    found = judged(weeks((20, 50), peers=9, mean=0.0, deviation=deviation), cause=cause, evidence=evidence)
    assert found.gained_value is None
    assert said in found.gained_reason


# --- one statement for all -------------------------------------------------------------------------------------------


def test_all_that_are_due_are_asked_for_at_once_and_what_others_completed_is_named():
    near, far = COMPLETED + timedelta(days=20), COMPLETED + timedelta(days=31)
    stored = {
        "a": completed(),
        "b": completed(opportunity_id="b", entity_id="/about", cause="conversions"),
        "c": completed(opportunity_id="c", entity_id="/late", completed_at=near, status="new"),
        "d": completed(opportunity_id="d", entity_id="/later", completed_at=far),
        "e": completed(opportunity_id="e", entity_id="mobile", entity_type="device"),
        "f": completed(opportunity_id="f", cause="mrr"),
    }
    asked: list[dict[str, Any]] = []

    def answer(**parameters: Any) -> list[dict[str, Any]]:
        asked.append(parameters)
        return weeks((1000, 2000), peers=9, mean=0.0, deviation=0.05)

    found = measure(ScriptedWarehouse(daily_entity_metrics=answer), "demo", due(stored, AS_OF), stored, AS_OF, NOW)
    assert set(found) == {"a", "b", "e", "f"}
    assert found["a"].verdict == "paid"
    [parameters] = asked
    assert {each["opportunity_id"] for each in orjson.loads(parameters["due"])} == {"a", "b", "e"}
    touched = {(each["opportunity_id"], each["entity_id"]) for each in orjson.loads(parameters["touched"])}
    assert touched == {("a", "/about"), ("a", "/late"), ("b", "/pricing"), ("b", "/late")}
    assert (parameters["first"], parameters["last"]) == (date(2026, 3, 3), date(2026, 4, 30))


def test_nothing_due_asks_nothing():
    assert measure(ScriptedWarehouse(), "demo", [], {}, AS_OF, NOW) == {}
