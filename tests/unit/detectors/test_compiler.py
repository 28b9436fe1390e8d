"""What must hold of the compiled statements, whatever is declared."""

from datetime import date

import pytest
import sqlglot
from sqlglot import expressions

from shared.detectors.catalogue import catalogue
from shared.detectors.compiler import compiled, plan
from shared.schema.sql import render

AS_OF = date(2026, 10, 18)
READS = plan().sql("d")
STATEMENTS = READS | {"replace": render("detectors/replace_findings.sql", table="d.findings", schema_version=1)}
TREES = {name: sqlglot.parse_one(sql, read="bigquery") for name, sql in STATEMENTS.items()}


@pytest.fixture(params=STATEMENTS, ids=str)
def tree(request):
    return TREES[request.param]


def test_the_whole_catalogue_is_three_statements():
    assert set(READS) <= {"days", "year", "months"}
    assert plan().statements == len(READS)


def test_every_unnest_has_an_alias(tree):
    assert all(
        isinstance(unnest.args.get("alias"), expressions.TableAlias)
        for unnest in tree.find_all(expressions.Unnest)
        if not isinstance(unnest.parent, expressions.In)
    )


def test_nothing_that_the_emulator_and_bigquery_read_differently_is_used(tree):
    for window in tree.find_all(expressions.Window):
        assert not isinstance(window.this, expressions.CountIf)
    for quantile in tree.find_all(expressions.PercentileCont):
        assert isinstance(quantile.parent, expressions.Window)
    assert not list(tree.find_all(expressions.Qualify))


def test_no_list_that_is_joined_to_others_is_null(tree):
    for joined in tree.find_all(expressions.ArrayConcat):
        assert all(isinstance(one, expressions.Coalesce) for one in (joined.this, *joined.expressions))


@pytest.mark.parametrize("name", READS)
def test_each_family_reads_the_metrics_once_and_by_partitions_that_parameters_choose(name):
    tables = [table for table in TREES[name].find_all(expressions.Table) if table.name.endswith("_entity_metrics")]
    assert len(tables) == (len(plan().scans[name].families) if name in plan().scans else 1)
    for table in tables:
        where = table.find_ancestor(expressions.Select).args["where"]
        [between] = [one for one in where.find_all(expressions.Between) if one.this.name in ("date", "month")]
        assert all(isinstance(between.args[end], expressions.Parameter) for end in ("low", "high"))


@pytest.mark.parametrize("name", READS)
def test_every_parameter_of_the_text_has_its_value(name):
    asked = {one.name for one in TREES[name].find_all(expressions.Parameter)}
    assert asked == set(plan().parameters(AS_OF)[name])


def test_rows_after_as_of_are_never_read():
    for parameters in plan().parameters(AS_OF).values():
        days = [value for value in parameters.values() if isinstance(value, date)]
        assert max(days) <= AS_OF


def test_detectors_add_no_text():
    traffic = next(one for one in catalogue() if one.id == "page_traffic_drop")
    again = traffic.model_copy(update={"id": "again", "effect": "session_ratio < 0.1"})
    assert compiled((traffic, again)).sql("d") == compiled((traffic,)).sql("d")


def test_a_year_ago_is_a_statement_of_its_own():
    revenue = next(one for one in catalogue() if one.id == "channel_revenue_drop")
    plan_ = compiled((revenue,))
    assert set(plan_.scans) == {"days", "year"}
    year = plan_.scans["year"]
    assert (year.days.first, year.days.last, year.types) == (364, 370, ["channel"])


def test_small_entities_are_summed_up_where_every_guard_demands_a_volume_of_their_own():
    traffic = next(one for one in catalogue() if one.id == "page_traffic_drop")
    scan = compiled((traffic,)).scans["days"]
    assert "SUM(IF(ago BETWEEN 7 AND 34, sessions, 0)) >= @least_0" in scan.sql("t")
    assert scan.parameters(AS_OF, [])["least_0"] == 280
    unguarded = traffic.model_copy(update={"guard": "site_cur_sessions > 5"})
    assert "least_0" not in compiled((traffic, unguarded)).scans["days"].sql("t")
