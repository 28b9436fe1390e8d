"""What makes findings worth trusting: muting, the site's own movement, repeats, and figures computed another way."""

import json
from datetime import timedelta

import numpy as np
import pytest
from scipy import stats

from functions.write_opportunities.main import handle as write_opportunities
from shared.detectors.catalogue import catalogue
from shared.detectors.homes import sources_of
from shared.detectors.messages import DetectorRunFinished
from tests.fakes import pushed
from tests.support.bigquery import bigquery_emulator
from tests.support.detector_cases import DAYS, FOUND, changed, found, site, steady, steady_attribute
from tests.support.detectors import AS_OF, Bench, connect, series


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory):
    with bigquery_emulator(tmp_path_factory.mktemp("bigquery") / "log") as settings:
        yield connect(settings)


def _names(findings):
    return {(row["detector_id"], row["entity_id"]) for row in findings}


def _evidence(row):
    return row["evidence"] if isinstance(row["evidence"], dict) else json.loads(row["evidence"])


def test_a_missing_day_mutes_what_stands_on_it_and_nothing_else(warehouse):
    bench = Bench(warehouse, "missing")
    rows = [row for row in found() if not (row["entity_id"] == "ga_page_performance" and row["date"] == "2026-10-15")]
    bench.load(rows)
    run, findings = bench.run()
    assert ("dq_missing_day", "ga_page_performance") in _names(findings)
    of_pages = {one.id for one in catalogue() if "ga_page_performance" in sources_of(one) and not one.mutes}
    silenced = {name for name, reason in run.muted.items() if not reason.startswith("no data")}
    assert silenced
    assert silenced <= of_pages
    assert {"page_cvr_drop", "page_traffic_drop", "page_engagement_drop", "page_high_traffic_low_cvr"} <= silenced
    assert run.muted["page_cvr_drop"] == "ga_page_performance has no rows on 2026-10-15, in window cur"
    missing = next(row for row in findings if row["entity_id"] == "ga_page_performance")
    assert _evidence(missing)["missing_days"] == ["2026-10-15"]
    assert ("source_traffic_drop", "news / referral") in _names(findings)


def test_a_stopped_event_silences_its_own_step_only(warehouse):
    bench = Bench(warehouse, "stopped")
    worse = changed({"sessions": 1000, "conversions": 400.0}, {"sessions": 1000, "conversions": 250.0})
    bench.load(site())
    for step in ("view_item", "add_to_cart"):
        bench.load(series("funnel_step", step, DAYS, worse))
    bench.load(
        series("event", "view_item", DAYS, lambda ago: None if ago < 2 else {"attributes": {"event_count": 400}})
    )
    run, findings = bench.run()
    of_steps = {name for name in _names(findings) if name[0] in ("dq_tracking_stopped", "funnel_step_drop")}
    assert of_steps == {("dq_tracking_stopped", "view_item"), ("funnel_step_drop", "add_to_cart")}
    assert "funnel_step_drop" in run.ran


def test_pages_that_fall_with_the_site_are_no_findings(warehouse):
    bench = Bench(warehouse, "together")
    for number in range(12):
        metrics = changed(
            {"sessions": 200, "conversions": 10.0, "engaged_sessions": 140},
            {"sessions": 80, "conversions": 2.0, "engaged_sessions": 40},
        )
        bench.load(series("page", f"/p/{number}", DAYS, metrics))
    run, findings = bench.run()
    assert findings == []
    assert {"page_cvr_drop", "page_traffic_drop", "page_engagement_drop"} <= set(run.ran)


def test_a_run_repeated_finds_the_same_and_a_message_repeated_writes_it_once(warehouse):
    bench = Bench(warehouse, "again")
    bench.load(found())
    first, findings = bench.run()
    # What comes later is not read.
    late = series("page", "/shop/1", 3, steady(sessions=1, conversions=0.0), as_of=AS_OF + timedelta(days=3))
    bench.load(late)
    second, repeated = bench.run()
    differs = {"run_id", "found_at"}
    assert [{k: v for k, v in row.items() if k not in differs} for row in findings] == [
        {k: v for k, v in row.items() if k not in differs} for row in repeated
    ]
    bench.clients.detectors.run("again", second.run_id, AS_OF)
    assert len(bench.account(second.run_id)[1]) == len(repeated)
    assert first.candidates == second.candidates


def test_findings_become_opportunities(warehouse):
    bench = Bench(warehouse, "loop")
    bench.load(found())
    run, findings = bench.run()
    message = DetectorRunFinished(tenant_id="loop", run_id=run.run_id)
    assert write_opportunities(pushed(message.model_dump()), bench.clients).status_code == 204
    stored = [values for path, values in bench.documents.documents.items() if "/opportunities/" in path]
    stored = [one for one in stored if one["detector_id"] in {name for name, *_ in FOUND}]
    listed = {
        (child["detector_id"], child["entity_id"]) for one in stored for child in one["evidence"].get("children", [])
    }
    # One cause, one opportunity: the source that lost the page's visitors is listed with the page.
    assert ("source_traffic_drop", "news / referral") in listed
    assert {(one["detector_id"], one["entity_id"]) for one in stored} | listed == {
        (name, of) for name, _, of, _ in FOUND
    }
    assert len(stored) + len(listed) == len(FOUND)
    for one in stored:
        value = one["estimated_value"]
        assert value["reason"] or value["low"] <= value["mid"] <= value["high"]
        assert one["evidence"]["windows"]["cur"]["last"] == AS_OF.isoformat()
        assert 0 <= one["confidence_score"] <= 1


def test_without_revenue_no_value_is_claimed_unless_the_tenant_sets_one(warehouse):
    def rows():
        for number in range(10):
            fallen = {"sessions": 100, "conversions": 1.0 if number == 3 else 5.0}
            yield from series("page", f"/p/{number}", 35, changed({"sessions": 100, "conversions": 5.0}, fallen))

    plain, priced = Bench(warehouse, "plain"), Bench(warehouse, "priced", value_per_conversion=80.0, currency="EUR")
    values = []
    for bench in (plain, priced):
        bench.load(rows())
        (finding,) = bench.run()[1]
        values.append(finding["estimated_value"])
    assert values[0]["mid"] is None
    assert values[0]["reason"].startswith("No revenue per conversion is known")
    # (5% - 1%) of 700 sessions a week, for 30 / 7 weeks, at 80 each.
    assert values[1]["mid"] == pytest.approx(0.04 * 700 * 30 / 7 * 80)
    assert values[1]["low"] < values[1]["mid"] < values[1]["high"]
    assert values[1]["currency"] == "EUR"


def test_what_is_not_measured_on_every_day_is_not_judged(warehouse):
    bench = Bench(warehouse, "unmeasured")
    for number in range(10):
        bench.load(
            series(
                "page",
                f"/p/{number}",
                35,
                lambda ago: {"sessions": 100, "engaged_sessions": None if ago < 3 else 60, "conversions": 5.0},
            )
        )
    run, findings = bench.run()
    assert findings == []
    assert "page_engagement_drop" in run.ran


def _noisy(seed, pages=200):
    """Pages, sources and channels with weekdays, drift and more noise than Poisson; nothing happens to any of them."""
    generator = np.random.default_rng(seed)
    season = np.array([0.8, 1.1, 1.15, 1.1, 1.05, 1.0, 0.8])
    for number in range(pages):
        level, cvr = generator.uniform(15, 250), generator.uniform(0.02, 0.06)
        drift = np.repeat(generator.normal(1, 0.04, DAYS // 7 + 1), 7)[:DAYS]
        sessions = generator.poisson(generator.gamma(20, level / 20, DAYS) * drift * np.resize(season, DAYS))
        conversions = generator.binomial(sessions, cvr)
        engaged = generator.binomial(sessions, 0.6)
        yield (
            number,
            [
                {"sessions": int(s), "conversions": float(c), "engaged_sessions": int(e), "revenue": float(c) * 50}
                for s, c, e in zip(sessions, conversions, engaged, strict=True)
            ],
        )


def _load(bench, entities, name):
    for number, days in entities:
        bench.load(series(*name(number), DAYS, lambda ago, days=days: days[ago]))


def _fallen(days, factors):
    last_week = [{name: value * factors.get(name, 1) for name, value in day.items()} for day in days[:7]]
    return [*last_week, *days[7:]]


def _whole(days):
    """Sessions are counted: whole numbers."""
    return [{name: int(value) if "sessions" in name else value for name, value in day.items()} for day in days]


def test_the_figures_are_those_that_another_computation_gives(warehouse):
    bench, pages = Bench(warehouse, "recompute"), list(_noisy(5, pages=60))
    for number in (3, 8, 11):
        pages[number] = (number, _fallen(pages[number][1], {"conversions": 0.1}))
    for number in (14, 20):
        factors = {"sessions": 0.2, "conversions": 0.2, "engaged_sessions": 0.2}
        pages[number] = (number, _whole(_fallen(pages[number][1], factors)))
    _load(bench, pages, lambda number: ("page", f"/p/{number}"))
    channels = {"Email": _fallen(pages[29][1], {"revenue": 0.3}), "Direct": pages[31][1], "Social": pages[32][1]}
    for name, days in channels.items():
        bench.load(series("channel", name, DAYS, lambda ago, days=days: days[ago]))
    run, findings = bench.run()
    by_entity = {(row["detector_id"], row["entity_id"]): row for row in findings}

    def total(days, metric, first, last):
        return sum(day[metric] for day in days[first : last + 1])

    # page_cvr_drop: the share of sessions that convert, this week against the four before.
    fell = [(f"/p/{n}", days) for n, days in pages if ("page_cvr_drop", f"/p/{n}") in by_entity]
    assert {name for name, _ in fell} >= {"/p/3"}
    for name, days in fell:
        row = by_entity["page_cvr_drop", name]
        x1, n1, x2, n2 = (total(days, m, a, b) for a, b in ((0, 6), (7, 34)) for m in ("conversions", "sessions"))
        pooled = (x1 + x2) / (n1 + n2)
        plain = (x1 / n1 - x2 / n2) / np.sqrt(pooled * (1 - pooled) * (1 / n1 + 1 / n2))
        numbers = _evidence(row)["numbers"]
        assert (numbers["cur_sessions"], numbers["base_conversions"]) == (n1, x2)
        # The rest of the site may take a little off the base: never more than it fell itself.
        assert stats.norm.cdf(plain) <= row["p_value"] * (1 + 1e-6)
        revenue, conversions = total(days, "revenue", 0, 89), total(days, "conversions", 0, 89)
        mid = (x2 / n2 - x1 / n1) * n1 * 30 / 7 * revenue / conversions
        assert row["estimated_value"]["mid"] == pytest.approx(mid, abs=0.01)

    # page_traffic_drop: sessions against what four weeks let expect, and against the rest of the site.
    sums = {n: (total(d, "sessions", 0, 6), total(d, "sessions", 7, 34)) for n, d in pages}
    site_cur, site_base = (sum(pair[i] for pair in sums.values()) for i in (0, 1))
    expected = {
        f"/p/{n}"
        for n, (cur, base) in sums.items()
        if base >= 280 and cur < 0.65 * base / 4 and cur / base < 0.75 * (site_cur - cur) / (site_base - base)
    }
    assert (
        {entity for detector, entity in by_entity if detector == "page_traffic_drop"} == expected == {"/p/14", "/p/20"}
    )

    # channel_revenue_drop: Welch on the logs of the days, less what the other channels fell.
    email = by_entity["channel_revenue_drop", "Email"]
    others = [days for name, days in channels.items() if name != "Email"]
    before, since = (sum(total(days, "revenue", a, b) for days in others) for a, b in ((7, 34), (0, 6)))
    kept = min(1.0, since / (before / 4))
    logs = [np.log1p([day["revenue"] for day in channels["Email"][a:b]]) for a, b in ((0, 7), (7, 35))]
    welch = stats.ttest_ind(logs[0], logs[1] + np.log(kept), equal_var=False, alternative="less")
    assert email["p_value"] == pytest.approx(welch.pvalue, rel=1e-6)
    lost = kept * total(channels["Email"], "revenue", 7, 34) / 28 - total(channels["Email"], "revenue", 0, 6) / 7
    assert email["estimated_value"]["mid"] == pytest.approx(lost * 30, abs=0.01)


def test_one_row_more_of_attributes_does_not_matter(warehouse):
    """Unknown attributes, and rows of types that nobody reads, are left alone."""
    bench = Bench(warehouse, "strange")
    bench.load(series("keyword", "shoes", 35, steady(clicks=5)))
    bench.load(series("page", "/a", 35, steady_attribute("colour", 3)))
    run, findings = bench.run()
    assert findings == []
    assert "page_cvr_drop" in run.ran


def test_many_findings_are_written_in_portions_and_a_repeat_writes_them_once(warehouse, mocker):
    mocker.patch("shared.detectors.service.PORTION_BYTES", 5_000)
    bench = Bench(warehouse, "portions")
    bench.load(found())
    run, findings = bench.run()
    assert len(findings) == run.findings > 3
    bench.clients.detectors.run("portions", run.run_id, AS_OF)
    assert len(bench.account(run.run_id)[1]) == run.findings


def test_days_of_an_expected_event_leave_window_and_baseline(warehouse):
    """A sale doubles visits and no conversions for two days; nothing is found where the tenant expected it."""

    def rows():
        yield from series("property", "properties/1", DAYS, steady(sessions=20_000, conversions=800.0))
        usual, crowd = {"sessions": 300, "conversions": 15.0}, {"sessions": 1_500, "conversions": 5.0}
        yield from series("page", "/sale", DAYS, lambda ago: dict(crowd if ago in (2, 3) else usual))

    days = [AS_OF - timedelta(days=ago) for ago in (3, 2)]
    event = {"name": "Sale", "kind": "campaign", "first": days[0].isoformat(), "last": days[1].isoformat()}
    surprised, expecting = Bench(warehouse, "surprised"), Bench(warehouse, "expecting", expected_events=[event])
    found_in = []
    for bench in (surprised, expecting):
        bench.load(rows())
        run, findings = bench.run()
        assert "page_cvr_drop" in run.ran, run.muted.get("page_cvr_drop")
        found_in.append(("page_cvr_drop", "/sale") in _names(findings))
    assert found_in == [True, False]
