"""Adopting without SQL: what is written down before what, and materialized views, which the emulator has not."""

import pytest

from shared.adoption.extension import Extension
from shared.adoption.inspection import Inspection
from shared.adoption.service import Adopter, NotAdoptable
from shared.errors import BadRequest, NotFound, Unavailable
from shared.ops.leases import Leases
from shared.streaming.undeclared import Patterns, UndeclaredTables
from tests.fakes import FakeDocuments, ScriptedWarehouse

EXTENSION = Extension.of("export.users_raw_changelog", "users", "p")
FOUND = Inspection(log=EXTENSION.log, columns=["timestamp", "path_params"], rows=1, values=[""])
DDL = "CREATE MATERIALIZED VIEW `p.export.users_raw_latest` AS (...)"


class Warehouse(ScriptedWarehouse):
    """Knows one view; `kind` is what it is now."""

    def __init__(self, kind):
        self.kind = kind
        super().__init__(
            **{
                "table_type AS kind": lambda names: (
                    [{"name": "users_raw_latest", "kind": self.kind}] if self.kind else []
                ),
                "ddl AS definition": [{"definition": DDL}],
                "view_definition AS definition": [{"definition": ""}],
                "ordinal_position": [],
            }
        )
        self.views = {}

    def _objects(self):
        return [{"name": "users_raw_latest", "kind": self.kind}] if self.kind else []

    def execute(self, sql, **parameters):
        self.kind = "" if sql.startswith("DROP") else "MATERIALIZED VIEW" if "CREATE MAT" in sql else self.kind
        return super().execute(sql, **parameters)

    def ensure_view(self, name, sql):
        self.views[name] = sql
        self.kind = "VIEW" if name.endswith("_raw_latest") else self.kind


def adopter(kind=""):
    documents, warehouse = FakeDocuments(), Warehouse(kind)
    tables = UndeclaredTables(lambda: documents, lambda: warehouse)
    return Adopter(warehouse, documents, Leases(documents), tables), documents, warehouse


def test_who_adopts_writes_it_down_before_anything_is_made():
    made, documents, _ = adopter()
    made.adopt(EXTENSION, FOUND)
    ours = [path for path in documents.writes if not path.startswith("leases/")]
    assert ours[0] == "adoptions/export.users_raw_changelog"
    assert ours.index("streamed_tables/export.users") < ours.index("streams/adopted-export.users_raw_changelog")


def test_the_collection_is_streamed_by_a_pattern_that_functions_read():
    made, documents, _ = adopter()
    made.adopt(EXTENSION, FOUND)
    assert Patterns(lambda: documents).load()[0] == EXTENSION.pattern


def test_a_materialized_view_is_dropped_once_and_comes_back_by_its_own_statement():
    made, _, warehouse = adopter("MATERIALIZED VIEW")
    made.adopt(EXTENSION, FOUND)
    for _ in range(2):
        made.show(EXTENSION, FOUND, {})
    drops = [sql for sql, _ in warehouse.executed if sql.startswith("DROP")]
    assert drops == ["DROP MATERIALIZED VIEW IF EXISTS `export.users_raw_latest`"]
    undone = made.undo(EXTENSION.log)
    assert [view.definition for view in undone.replaced] == [DDL]
    assert [sql for sql, _ in warehouse.executed][-2:] == ["DROP VIEW IF EXISTS `export.users_raw_latest`", DDL]


def test_a_view_whose_definition_cannot_be_read_is_not_replaced():
    made, _, warehouse = adopter("VIEW")
    made.adopt(EXTENSION, FOUND)
    with pytest.raises(BadRequest, match="cannot be read"):
        made.show(EXTENSION, FOUND, {})
    assert "export.users_raw_latest" not in warehouse.views


def test_who_has_not_adopted_has_no_views_and_nothing_to_go_back_to():
    made, _, _ = adopter()
    with pytest.raises(NotFound):
        made.show(EXTENSION, FOUND, {})
    with pytest.raises(NotFound):
        made.undo(EXTENSION.log)


def test_problems_forbid_adopting():
    made, documents, _ = adopter()
    with pytest.raises(NotAdoptable):
        made.adopt(EXTENSION, FOUND.model_copy(update={"problems": ["a reason"]}))
    assert documents.writes == []


@pytest.mark.parametrize("lease", ["adopt:export.users_raw_changelog", "merge:export.users"])
def test_two_workers_never_do_it_at_a_time(lease):
    made, documents, warehouse = adopter()
    with Leases(documents).hold(lease, 60), pytest.raises(Unavailable):
        made.adopt(EXTENSION, FOUND)
    assert not [sql for sql, _ in warehouse.executed if "MERGE" in sql]
