"""The language of declarations: what it refuses, and that it computes what SQL computes."""

import duckdb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.detectors import expression
from shared.detectors.catalogue import catalogue
from shared.detectors.expression import ExpressionError

VALUES = st.one_of(st.none(), st.integers(-3, 3).map(float))
CONDITIONS = [
    "a < 2 * b AND c >= 1",
    "a < b OR c > 0 AND NOT b = 1",
    "NOT (a > 0) OR b IS NULL",
    "c IS NOT NULL AND a IN (1, 2, b)",
    "a NOT IN (1, 2)",
    "a BETWEEN b AND c OR c <> 2",
    "IF(a > b, c, b) >= LEAST(a, b) + 1",
    "COALESCE(a, b, 0) - GREATEST(b, c) * (3 / 2) < -ABS(c)",
]


@settings(max_examples=60, deadline=None)
@given(a=VALUES, b=VALUES, c=VALUES)
@pytest.mark.parametrize("condition", CONDITIONS)
def test_conditions_hold_where_they_hold_in_sql(condition, a, b, c):
    given_values = {"a": np.array([np.nan if a is None else a]), "b": np.array([np.nan if b is None else b])}
    given_values["c"] = np.array([np.nan if c is None else c])
    # BigQuery's LEAST and GREATEST are NULL where any argument is; DuckDB's leave NULLs out.
    sql = condition.replace("LEAST(a, b)", "IF(a IS NULL OR b IS NULL, NULL, LEAST(a, b))")
    sql = sql.replace("GREATEST(b, c)", "IF(b IS NULL OR c IS NULL, NULL, GREATEST(b, c))")
    query = f"SELECT {sql} FROM (SELECT ?::DOUBLE AS a, ?::DOUBLE AS b, ?::DOUBLE AS c)"
    in_sql = duckdb.execute(query, [a, b, c]).fetchone()[0]
    assert bool(expression.true(expression.evaluate(condition, given_values.__getitem__))[0]) == bool(in_sql)


def test_text_is_compared_with_text():
    ids = np.array(["mobile", "desktop"], dtype=object)
    assert list(expression.true(expression.evaluate("entity_id IN ('mobile', '')", lambda _: ids))) == [True, False]


def test_a_blank_among_the_words_of_a_tenant_finds_nothing():
    assert expression.any_of(["", " "]) == ""
    assert expression.any_of(["", "Acme.com "]) == r"acme\.com"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a / b", "declare the ratio under rates"),
        ("a / (1 + 2)", "declare the ratio under rates"),
        ("SLEEP(1)", "SLEEP is not allowed"),
        ("a; DROP", "cannot read"),
        ("a +", "ends too early"),
        ("(a + 1", "is missing"),
        ("a b", "cannot read on"),
    ],
)
def test_refuses(text, reason):
    with pytest.raises(ExpressionError, match=reason):
        expression.names(text)


def test_every_declared_expression_can_be_read():
    assert all(
        expression.names(text) is not None for detector in catalogue() for text in detector.expressions().values()
    )
