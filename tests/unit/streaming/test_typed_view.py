"""Typed columns of undeclared collections: they only grow, and keep their names and kinds."""

from hypothesis import given
from hypothesis import strategies as st

from shared.streaming.typed_view import MOST_COLUMNS, MOST_TEXT, TYPES, LearnedColumn, kinds_of, learn, selected
from shared.streaming.values import decode_fields

NAMES = st.text(max_size=12) | st.sampled_from(["a", "A", "data", "a_string", "1", "_PARTITIONTIME", "größe"])
KINDS = st.frozensets(st.tuples(NAMES, st.sampled_from(sorted(TYPES))), max_size=12)


@given(st.lists(KINDS, max_size=5))
def test_columns_are_only_added_and_no_two_share_a_name(documents):
    columns: tuple[LearnedColumn, ...] = ()
    for kinds in documents:
        wider = learn(columns, kinds, ("data", "version"))
        assert wider[: len(columns)] == columns
        assert learn(wider, kinds, ("data", "version")) == wider
        columns = wider
    names = [column.column.lower() for column in columns]
    assert len(set(names)) == len(names)
    assert not {"data", "version"} & set(names)
    assert all(name.isascii() and name.replace("_", "a").isalnum() and not name[0].isdigit() for name in names)


@given(KINDS)
def test_a_name_that_could_end_a_literal_is_in_no_statement(kinds):
    for column, sql in zip(columns := learn((), kinds, ()), selected(columns), strict=True):
        assert not set(column.field) & set("\"'\\`\n")
        assert sql.endswith(f" AS `{column.column}`")


def test_the_first_kind_has_the_fields_name_and_others_theirs_beside_it():
    columns = learn(learn((), {("a", "integer")}, ()), {("a", "string"), ("a", "double"), ("b", "string")}, ())
    assert [column.column for column in columns] == ["a", "a_double", "a_string", "b"]


def test_a_map_used_as_a_dictionary_does_not_widen_the_view_without_end():
    columns = learn((), {(f"key{n}", "integer") for n in range(MOST_COLUMNS + 50)}, ())
    assert len(columns) == MOST_COLUMNS


def test_a_views_text_is_bounded_and_a_second_kind_takes_no_column_away():
    columns = learn((), {(f"a_field_with_a_rather_long_name_{n:03}", "timestamp") for n in range(MOST_COLUMNS)}, ())
    shown = selected(columns)
    assert 100 < len(shown) < MOST_COLUMNS
    assert sum(map(len, shown)) <= MOST_TEXT
    wider = learn(columns[:-1], {(column.field, "string") for column in columns[:50]}, ())
    assert [one.rpartition(" AS ")[2] for one in selected(wider)] == [one.rpartition(" AS ")[2] for one in shown]


def test_the_kinds_of_a_document_are_those_of_its_values_and_a_null_has_none():
    fields = decode_fields({"a": 1, "b": 1.0, "c": None, "d": {"_values": [1.0]}, "e": {"x": 1}, "f": {"_base64": ""}})
    assert kinds_of(fields) == {("a", "integer"), ("b", "double"), ("d", "vector"), ("e", "map"), ("f", "bytes")}
