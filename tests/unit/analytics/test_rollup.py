"""What the rollup reads and binds; what its SQL does is tested on the emulator."""

from collections.abc import Callable
from datetime import date

import pytest
import sqlglot
from sqlglot import exp

from shared.analytics.attributes import ATTRIBUTES
from shared.analytics.entities import GROUPS
from shared.analytics.rebuild import metrics_statement
from shared.analytics.records import DailyEntityMetrics, MonthlyEntityMetrics
from shared.analytics.rollup import LATEST, MEANS, kinds, roll_up, statement, stretches_of_months
from shared.schema.bigquery import columns
from tests.fakes import ScriptedWarehouse


def days_statement(dataset: str) -> str:
    """The MERGE that rebuilds the days of a group."""
    return metrics_statement(GROUPS[0], GROUPS[0].entities[:2], dataset)


def test_months_have_every_metric_of_the_days_in_its_type():
    daily = {column.name: column.type for column in columns(DailyEntityMetrics)}
    monthly = {column.name: column.type for column in columns(MonthlyEntityMetrics)}
    assert {name: kind for name, kind in monthly.items() if name not in ("month", "days")} == {
        name: kind for name, kind in daily.items() if name != "date"
    }


def test_metrics_that_are_not_summed_say_so():
    described = {column.name: column.description for column in columns(MonthlyEntityMetrics)}
    assert {*MEANS, *LATEST} <= set(kinds())
    assert {name for name in kinds() if "latest" in described[name]} == set(LATEST)
    assert {name for name in kinds() if "Mean" in described[name]} == set(MEANS)


@pytest.mark.parametrize(
    ("first", "last", "bounds"),
    [
        (date(2026, 1, 31), date(2026, 2, 1), (date(2026, 1, 1), date(2026, 2, 28))),
        (date(2024, 2, 29), date(2024, 2, 29), (date(2024, 2, 1), date(2024, 2, 29))),
        (date(2025, 12, 15), date(2025, 12, 16), (date(2025, 12, 1), date(2025, 12, 31))),
    ],
)
def test_whole_months_are_rebuilt(first: date, last: date, bounds: tuple[date, date]):
    warehouse = ScriptedWarehouse()
    roll_up(warehouse, "demo", first, last)
    [(sql, parameters)] = warehouse.executed
    assert "`aso_tenant_demo.monthly_entity_metrics` AS target" in sql
    assert (parameters["first_day"], parameters["last_day"]) == bounds
    assert parameters["tenant_id"] == "demo"


def test_months_without_changed_days_between_others_are_left_alone():
    days = [date(2024, 3, 1), date(2025, 12, 31), date(2026, 1, 2), date(2026, 2, 1), date(2026, 4, 9)]
    assert stretches_of_months(days) == [
        (date(2024, 3, 1), date(2024, 3, 1)),
        (date(2025, 12, 31), date(2026, 2, 1)),
        (date(2026, 4, 9), date(2026, 4, 9)),
    ]


def test_attributes_are_told_apart_by_their_registry():
    warehouse = ScriptedWarehouse()
    roll_up(warehouse, "demo", date(2026, 1, 1), date(2026, 1, 1))
    [(sql, parameters)] = warehouse.executed
    assert parameters["keys"] == list(ATTRIBUTES)
    assert "event_count" in parameters["flows"]
    assert all(ATTRIBUTES[name].kind == "flow" for name in parameters["flows"])
    assert "event_count" not in sql


def test_both_tables_are_pruned_by_parameters():
    tree = sqlglot.parse_one(statement("d"), dialect="bigquery")
    bounds = {found.this.sql(): (found.args["low"], found.args["high"]) for found in tree.find_all(exp.Between)}
    assert set(bounds) == {"metrics.date", "target.month"}
    assert all(isinstance(end, exp.Parameter) for ends in bounds.values() for end in ends)


@pytest.mark.parametrize(("make", "column"), [(statement, "target.month"), (days_statement, "target.date")])
def test_each_branch_that_touches_the_target_prunes_it(make: Callable[[str], str], column: str):
    # What is not matched by the source makes it an outer join: its ON prunes nothing.
    [merge] = sqlglot.parse_one(make("d"), dialect="bigquery").find_all(exp.Merge)
    for branch in merge.args["whens"].expressions:
        if branch.args["matched"] or branch.args["source"]:
            assert column in {found.this.sql() for found in branch.args["condition"].find_all(exp.Between)}
