"""Names and rows of a changelog of the extension."""

import re

import pytest

from shared.adoption.extension import Extension
from shared.errors import BadRequest

LOG = "firestore_export.users_raw_changelog"
START = "projects/p/databases"


def of(collection="users", database="(default)", table="", log=LOG):
    return Extension.of(log, collection, "p", database, table)


def test_scouts_own_log_lies_beside_the_extensions_under_another_name():
    target = of().target()
    assert (target.view, target.base) == ("firestore_export.users", "firestore_export.users_base")
    assert target.own_log == "firestore_export.users_scout_changelog"
    assert target.raw_latest == "firestore_export.users_raw_latest"
    assert target.schema_view("x", "latest") == "firestore_export.users_schema_x_latest"


def test_in_a_dataset_of_each_tenant_the_log_has_its_usual_name():
    target = of("tenants/{tenant_id}/things", table="aso_tenant_{tenant_id}.things").target("demo")
    assert (target.dataset, target.own_log) == ("aso_tenant_demo", "aso_tenant_demo.things_raw_changelog")


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"log": "firestore_export.users"}, "log"),
        ({"log": "users_raw_changelog"}, "log"),
        ({"log": "firestore_export._raw_changelog"}, "log"),
        ({"log": "a.b`; DROP_raw_changelog"}, "log"),
        ({"collection": "users/x"}, "collection or table"),
        ({"collection": "it's"}, "collection"),
        ({"database": "a`b"}, "collection"),
        ({"table": "no_dataset"}, "collection or table"),
        ({"table": "aso_{tenant_id}.things"}, "collection or table"),
        ({"collection": "tenants/{tenant_id}/things", "table": "d.things_{tenant_id}"}, "table"),
        ({"collection": "a/{b}/c/{d}/e", "table": "x_{b}_{d}.t"}, "table"),
    ],
)
def test_what_cannot_be_adopted_is_refused_by_the_fields_name(arguments, field):
    with pytest.raises(BadRequest) as refused:
        of(**arguments)
    assert refused.value.fields["field"] == field


@pytest.mark.parametrize(
    ("extension", "names", "taken", "left"),
    [
        (of(), {}, ["(default)/documents/users/a"], ["shop/documents/users/a", "(default)/documents/users/a/x/b"]),
        (
            of("users/{user_id}/orders"),
            {},
            ["(default)/documents/users/a/orders/1"],
            ["(default)/documents/users/a/carts/1", "(default)/documents/users/a"],
        ),
        (
            of("{path=**}/orders"),
            {},
            ["(default)/documents/orders/1", "(default)/documents/a/b/orders/1"],
            ["(default)/documents/a/orders/1", "(default)/documents/orders/1/x/2"],
        ),
        (
            of("tenants/{tenant_id}/things", table="t_{tenant_id}.things"),
            {"tenant_id": "a.b"},
            ["(default)/documents/tenants/a.b/things/1"],
            ["(default)/documents/tenants/axb/things/1"],
        ),
    ],
)
def test_rows_are_the_collections_by_the_full_name_of_their_document(extension, names, taken, left):
    (pattern,) = re.findall(r"REGEXP_CONTAINS\(document_name, r'(.*?)'\)", extension.changes((), names))
    assert [name for name in [*taken, *left] if re.search(pattern, f"{START}/{name}")] == taken
    assert not re.search(pattern, f"projects/other/databases/{taken[0]}")


def test_only_imports_of_another_database_are_taken_by_the_wrong_name():
    sql = of(database="shop").changes(())
    mine, misnamed = re.findall(r"REGEXP_CONTAINS\(document_name, r'(.*?)'\)", sql)
    assert re.search(mine, f"{START}/shop/documents/users/a")
    assert re.search(misnamed, f"{START}/(default)/documents/users/a")
    assert "(operation = 'IMPORT' AND REGEXP_CONTAINS" in sql
    assert "IMPORT" not in of().changes(())


def test_columns_that_an_older_extension_lacks_are_null():
    sql = of().changes(("timestamp", "event_id", "document_name", "operation", "data"))
    assert "CAST(NULL AS STRING) AS old_data" in sql
    assert "CAST(NULL AS STRING) AS path_params" in sql
