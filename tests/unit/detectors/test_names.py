"""What names stand for: the click curve, related parts, peers, weekdays."""

from datetime import UTC, date, datetime

import numpy as np
import pytest

from shared.detectors.catalogue import catalogue
from shared.detectors.compiler import CLICK_CURVE
from shared.detectors.coverage import Coverage
from shared.detectors.declaration import Part, Peers
from shared.detectors.entities import Entities
from shared.detectors.judgement import Run, judge
from shared.detectors.names import USUAL_CLICKS, Names, Table
from shared.tenants.records import Tenant

NOW = datetime(2026, 10, 19, tzinfo=UTC)
DAYS = frozenset(range(35))
PAGE = next(one for one in catalogue() if one.id == "page_cvr_drop")


def _entities(entity_type, ids, labels=None, **sums):
    """Sums by `<span>_<metric>`; every window has rows."""
    found = Entities(entity_type, np.array(ids, dtype=object), np.zeros(len(ids), dtype=bool))
    for name, values in sums.items():
        found.numbers[f"sum_{name}"] = np.array(values, dtype=float)
        first, last, _ = name.split("_", 2)
        found.numbers[f"seen_{first}_{last}"] = np.ones(len(ids))
    found.labels = {name: np.array(values, dtype=object) for name, values in (labels or {}).items()}
    return found


def _table(*entities, **settings):
    tenant = Tenant(tenant_id="t", created_at=NOW, updated_at=NOW, **settings)
    days = {one.entity_type: DAYS for one in entities}
    return Table({one.entity_type: one for one in entities}, Coverage.of(date(2026, 10, 18), days), tenant)


def _keywords(clicks_at):
    span = CLICK_CURVE.key
    positions = sorted(clicks_at)
    return _entities(
        "keyword",
        [f"k{position}" for position in positions],
        **{
            f"{span}_impressions": [10_000.0] * len(positions),
            f"{span}_clicks": [10_000.0 * clicks_at[position] for position in positions],
            f"{span}_position_impressions": [10_000.0 * position for position in positions],
        },
    )


def test_the_usual_curve_stands_where_nothing_is_known():
    places, shares = _table().click_curve()
    assert dict(zip(places[1:31], shares[1:31], strict=True)) == USUAL_CLICKS
    assert np.interp(60, places, shares) == 0


def test_the_sites_own_clicks_shape_the_curve_and_a_worse_position_never_has_more():
    places, shares = _table(_keywords({1: 0.4, 2: 0.1, 3: 0.2})).click_curve()
    assert shares[1] == pytest.approx(0.4)
    # Positions 2 and 3 are each other's noise: both have their mean.
    assert shares[2] == shares[3] == pytest.approx(0.15)
    assert np.all(np.diff(shares) <= 0)
    assert places[2] == 2


def test_the_tenants_own_shares_override_what_is_fitted():
    places, shares = _table(_keywords({1: 0.4}), click_shares=[0.5, 0.2]).click_curve()
    assert np.interp([1, 2, 3], places, shares).tolist() == [0.5, 0.2, 0.0]


def test_searches_for_the_brand_tell_nothing_of_the_curve():
    keywords = _keywords({1: 0.9})
    _, shares = _table(keywords, brand_terms=["K1"]).click_curve()
    assert shares[1] == USUAL_CLICKS[1]


@pytest.fixture
def ad_groups():
    groups = _entities("ad_group", ["a", "b", "c"], {"campaign": ["1", "1", None]}, **{"0_6_sessions": [1.0, 2.0, 4.0]})
    campaigns = _entities("campaign", ["1", "2"], **{"0_6_sessions": [10.0, 20.0]})
    return _table(groups, campaigns)


@pytest.mark.parametrize(
    ("relation", "expected"),
    [
        ({"entity_type": "ad_group"}, [7.0, 7.0, 7.0]),
        ({"entity_type": "ad_group", "where": "entity_id = 'b'"}, [2.0, 2.0, 2.0]),
        ({"entity_type": "ad_group", "within": "campaign"}, [3.0, 3.0, None]),
        ({"entity_type": "campaign", "id": "campaign"}, [10.0, 10.0, None]),
    ],
    ids=["all", "where", "within", "id"],
)
def test_a_part_is_summed_over_those_that_belong_to_it(ad_groups, relation, expected):
    detector = PAGE.model_copy(update={"entity_type": "ad_group", "parts": {"camp": Part(**relation)}})
    found = Names(detector, ad_groups).of("camp_cur_sessions")
    assert [None if np.isnan(one) else one for one in found] == expected


def test_a_part_of_whom_the_entity_is_the_label(ad_groups):
    part = Part(entity_type="ad_group", whose="campaign")
    detector = PAGE.model_copy(update={"entity_type": "campaign", "parts": {"groups": part}})
    assert Names(detector, ad_groups).of("groups_cur_sessions")[0] == 3.0


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ({"quantile": 0.5}, [2.0, 2.0, 2.0]),
        ({"how": "sum"}, [7.0, 7.0, 7.0]),
        ({"how": "top", "k": 2}, [6.0, 6.0, 6.0]),
        ({"how": "argmax"}, ["c", "c", "c"]),
        ({"how": "rank"}, [1.0, 2.0, 3.0]),
        ({"how": "max", "at_least": 4}, [None, None, None]),
    ],
    ids=["median", "sum", "top", "argmax", "rank", "too few"],
)
def test_peers_are_one_number_over_those_that_count(ad_groups, how, expected):
    peers = Peers(of="cur_sessions", among="cur_sessions >= 1", **how)
    detector = PAGE.model_copy(update={"entity_type": "ad_group", "peers": {"peer": peers}})
    found = list(Names(detector, ad_groups).of("peer"))
    assert [None if isinstance(one, float) and np.isnan(one) else one for one in found] == expected


def test_a_name_that_is_defined_by_itself_is_refused(ad_groups):
    detector = PAGE.model_copy(update={"entity_type": "ad_group", "measures": {"a": "b + 1", "b": "a + 1"}})
    with pytest.raises(ValueError, match="is defined by itself"):
        Names(detector, ad_groups).of("a")


def test_what_google_analytics_folded_into_one_counts_and_is_neither_judged_nor_a_peer():
    spans = {PAGE.span(window).key for window in PAGE.windows}
    sums = {f"{span}_{name}": [900.0] * 3 for span in spans for name in ("sessions", "conversions", "revenue")}
    pages = _entities("page", ["/a", "(other)", "(other) / mobile"], **sums)
    pages.rows = np.ones((3, 35), dtype=bool)
    table = _table(pages)
    coverage = Coverage.of(date(2026, 10, 18), {"page": DAYS})
    detector = PAGE.model_copy(update={"guard": "cur_sessions >= 1", "only": None})
    assert judge(Run(table.tenant, "run-1", coverage, NOW), detector, table).tested == 1
    peers = Peers(of="cur_sessions", among="cur_sessions >= 1", how="sum", at_least=1)
    assert set(Names(detector.model_copy(update={"peers": {"peer": peers}}), table).of("peer")) == {900.0}
    assert Names(detector, table).entities.value(PAGE.span("cur"), "sum", "sessions").sum() == 2700.0
