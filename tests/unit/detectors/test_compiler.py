"""What must hold of the compiled statements, whatever is declared."""

from datetime import date

import pytest
import sqlglot
from sqlglot import expressions

from shared.detectors.catalogue import catalogue
from shared.detectors.compiler import compiled, plan
from shared.detectors.declaration import Window
from shared.schema.sql import render

STATEMENTS = {
    "coverage": plan().coverage("d.daily_entity_metrics"),
    "features": plan().features("d.daily_entity_metrics"),
    "replace": render("detectors/replace_findings.sql", table="d.detector_findings", schema_version=1),
}
WIDER = Window(days=14)


@pytest.fixture(params=STATEMENTS, ids=str)
def tree(request):
    return sqlglot.parse_one(STATEMENTS[request.param], read="bigquery")


def test_every_unnest_has_an_alias(tree):
    assert all(
        isinstance(unnest.args.get("alias"), expressions.TableAlias) for unnest in tree.find_all(expressions.Unnest)
    )


def test_nothing_that_the_emulator_and_bigquery_read_differently_is_used(tree):
    for window in tree.find_all(expressions.Window):
        assert not isinstance(window.this, expressions.CountIf)
    for quantile in tree.find_all(expressions.PercentileCont):
        assert isinstance(quantile.parent, expressions.Window)
    assert not list(tree.find_all(expressions.Qualify))


@pytest.mark.parametrize("name", ["coverage", "features"])
def test_the_metrics_are_read_once_and_by_partitions_that_parameters_choose(name):
    tree = sqlglot.parse_one(STATEMENTS[name], read="bigquery")
    tables = [table for table in tree.find_all(expressions.Table) if table.name == "daily_entity_metrics"]
    assert len(tables) == 1
    where = tables[0].find_ancestor(expressions.Select).args["where"]
    between = [one for one in where.find_all(expressions.Between) if one.this.name == "date"]
    assert between
    assert all(isinstance(one.args[end], expressions.Parameter) for one in between for end in ("low", "high"))


def test_rows_after_as_of_are_never_read():
    dates = plan().dates(date(2026, 10, 18))
    assert max(dates.values()) == date(2026, 10, 18)
    assert set(dates) == set(plan().date_names())


def test_detectors_and_windows_add_no_text():
    whole, traffic = plan(), [one for one in catalogue() if one.id == "page_traffic_drop"]
    twice = [one.model_copy(update={"id": "again", "windows": {**one.windows, "cur": WIDER}}) for one in traffic]
    assert len(compiled((*traffic, *twice)).features("t")) == len(compiled(tuple(traffic)).features("t"))
    assert len(whole.features("t")) < 400 * (len(whole.metrics) + 12)


def test_a_year_ago_is_a_range_of_its_own():
    assert [(span.first, span.last) for span in plan().ranges.values()] == [(0, 89), (364, 370)]
