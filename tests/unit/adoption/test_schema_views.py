"""Schema views have the columns that the extension's own script made of the same files."""

import orjson
import pytest
import sqlglot

from shared.adoption.schema_views import FIRST, Schema, read_schemas, schema_view
from shared.errors import BadRequest
from tests.support.extension import SCHEMAS, captured

THEIRS = captured()["views"]["schemas"]


def columns(schema, kind):
    return sqlglot.parse_one(schema_view(schema, kind, "d.source"), dialect="bigquery").named_selects


@pytest.mark.parametrize("kind", ["latest", "changelog"])
@pytest.mark.parametrize("name", sorted(THEIRS))
def test_the_columns_are_those_of_the_extensions_script(name, kind):
    ours = columns(read_schemas([SCHEMAS])[name], kind)
    theirs = [column for column, _ in THEIRS[name][kind]["columns"]]
    assert sorted(ours) == sorted([*FIRST, *theirs])
    members = [column for column in theirs if column.endswith(("_member", "_index"))]
    assert [column for column in ours if column not in members] == [*FIRST, *theirs[: len(theirs) - len(members)]]


def test_the_captured_schemas_are_all_that_there_are():
    assert sorted(THEIRS) == sorted(read_schemas([SCHEMAS])) == ["ages_only", "places", "profile"]


def test_names_that_json_paths_cannot_hold_bare_are_quoted():
    schema = Schema.model_validate(
        {"fields": [{"name": "odd-name", "type": "string"}, {"name": "a.b", "type": "number"}]}
    )
    sql = schema_view(schema, "latest", "d.source")
    assert """JSON_VALUE(log.data, '$."odd-name"')""" in sql
    assert """JSON_VALUE(log.data, '$."a"."b"')""" in sql
    assert columns(schema, "latest")[4:] == ["odd_name", "a_b"]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ([], "fields"),
        ([{"name": "a", "type": "int"}], "fields.0.type"),
        ([{"name": "a", "type": "map", "fields": [{"name": "", "type": "string"}]}], "fields.0.fields.0.name"),
        ([{"name": "a", "type": "array_map", "fields": []}], "fields.0.type"),
    ],
)
def test_a_wrong_schema_is_refused_by_file_and_field(tmp_path, fields, said):
    path = tmp_path / "wrong.json"
    path.write_bytes(orjson.dumps({"fields": fields}))
    with pytest.raises(BadRequest) as refused:
        read_schemas([path])
    assert refused.value.fields["field"] == f"{path}: {said}"


@pytest.mark.parametrize(
    "fields",
    [
        [{"name": "timestamp", "type": "timestamp"}],
        [{"name": "a_b", "type": "string"}, {"name": "a-b", "type": "string"}],
        [{"name": "tags", "type": "array"}, {"name": "tags_index", "type": "number"}],
        [{"name": "it's", "type": "string"}],
    ],
)
def test_columns_that_clash_and_names_that_end_a_quote_are_refused(fields):
    with pytest.raises(BadRequest):
        schema_view(Schema.model_validate({"fields": fields}), "latest", "d.source")


def test_what_is_no_schema_file_is_refused(tmp_path):
    with pytest.raises(BadRequest, match="no such"):
        read_schemas([tmp_path / "none.json"])
    (tmp_path / "odd name.json").write_text("{}")
    with pytest.raises(BadRequest, match="names its views"):
        read_schemas([tmp_path])
    (tmp_path / "odd name.json").rename(tmp_path / "text.json").write_text("no")
    with pytest.raises(BadRequest, match="not JSON"):
        read_schemas([tmp_path])
