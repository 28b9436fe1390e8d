from datetime import date

from shared.dashboard.series import Plot, plots, series
from tests.fakes import FakeCache, ScriptedWarehouse, fake_clients
from tests.unit.dashboard.samples import EVIDENCE, opportunity

ROWS = [
    {"date": date(2026, 3, 14), "sessions": 700, "conversions": 14.0},
    {"date": date(2026, 3, 15), "sessions": 0, "conversions": 0.0},
]


def test_series_covers_seventy_days_with_gaps_where_nothing_was_measured():
    found = series(fake_clients(warehouse=ScriptedWarehouse(daily_entity_metrics=ROWS)), opportunity())
    assert (len(found["days"]), found["days"][-1]) == (70, "2026-03-15")
    by_name = {plot["name"]: plot["values"][-3:] for plot in found["plots"]}
    assert by_name == {"cvr": [None, 0.02, None], "sessions": [None, 700, 0], "conversions": [None, 14.0, 0.0]}
    assert [window["name"] for window in found["windows"]] == ["Baseline", "Current"]


def test_windows_that_reach_further_back_are_shown_whole():
    evidence = {"windows": {"base": {"first": "2025-12-01", "last": "2026-01-15"}}}
    found = series(fake_clients(warehouse=ScriptedWarehouse(daily_entity_metrics=ROWS)), opportunity(evidence=evidence))
    assert found["days"][0] == "2025-11-24"


def test_values_are_parameters_and_the_window_is_a_constant_range():
    warehouse = ScriptedWarehouse(daily_entity_metrics=ROWS)
    series(fake_clients(warehouse=warehouse), opportunity(entity_id="x' OR 1=1"))
    [(sql, parameters)] = warehouse.queries
    assert "OR 1=1" not in sql
    assert parameters == {
        "first": date(2026, 1, 5),
        "last": date(2026, 3, 15),
        "entity_type": "page",
        "entity_id": "x' OR 1=1",
    }


def test_series_is_loaded_once_until_the_scope_is_forgotten():
    cache, warehouse = FakeCache(), ScriptedWarehouse(daily_entity_metrics=ROWS)
    clients = fake_clients(cache=cache, warehouse=warehouse)
    assert series(clients, opportunity()) == series(clients, opportunity())
    assert len(warehouse.queries) == 1
    cache.forget(["aso_opportunities:demo"])
    series(clients, opportunity())
    assert len(warehouse.queries) == 2


def test_plots_show_the_judged_rate_and_what_it_is_made_of():
    assert plots(EVIDENCE, {"sessions", "conversions"}) == [
        Plot("cvr", "conversions", "sessions"),
        Plot("sessions", "sessions"),
        Plot("conversions", "conversions"),
    ]


def test_plots_fall_back_to_what_was_measured():
    assert plots({}, {"sessions", "difficulty"}) == [Plot("sessions", "sessions")]
    assert plots(EVIDENCE, set()) == []
