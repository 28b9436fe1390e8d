"""What a changelog of the extension holds, and what stands in the way of adopting it. Nothing is changed."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import BaseModel

from shared.adoption.extension import NEEDED, Extension
from shared.errors import NotFound
from shared.schema.ports import Warehouse
from shared.schema.sql import render


class Others(BaseModel):
    """Rows of the log that are not the collection's: they stay where they are."""

    collection: str
    rows: int


class Inspection(BaseModel):
    """A changelog of the extension. `problems` forbid adopting it, `remarks` are to be known."""

    log: str
    columns: list[str]
    partitioned_by: str | None = None
    log_rows: int = 0
    rows: int = 0
    documents: int = 0
    operations: dict[str, int] = {}
    first_at: datetime | None = None
    last_at: datetime | None = None
    repeated: int = 0
    tied_documents: int = 0
    not_json: int = 0
    others: list[Others] = []
    values: list[str] = []
    """Of the placeholder that names the dataset: one empty text where all rows go to one dataset."""
    problems: list[str] = []
    remarks: list[str] = []


class Agreement(BaseModel):
    """The same writes in both logs, since Scout streams: how the extension's times compare with update_time."""

    writes: int
    same: int
    same_millisecond: int
    same_second: int
    later: int
    only_extension: int


def inspect(warehouse: Warehouse, extension: Extension) -> Inspection:
    """Look at a log. NotFound where it does not exist."""
    name = extension.log.partition(".")[2]
    if not warehouse.exists(extension.log):
        raise NotFound("there is no such table", field="log", table=extension.log)
    listed = warehouse.query(render("adoption/sql/columns.sql", dataset=extension.dataset), name=name)
    types = {row["column_name"]: row["data_type"] for row in listed}
    found = Inspection(
        log=extension.log,
        columns=list(types),
        partitioned_by=next((row["column_name"] for row in listed if row["partitioned"]), None),
    )
    for column, kind in NEEDED.items():
        if types.get(column) != kind:
            found.problems.append(f"column {column}: {kind} was expected, there is {types.get(column, 'none')}")
    if found.problems:
        return found
    counts, others = extension.inspection(found.columns)
    _count(found, warehouse.query(counts)[0])
    found.others = [Others(collection=row["collection"], rows=row["row_count"]) for row in warehouse.query(others)]
    if found.operations["IMPORT"] and any("/databases/(default)/" not in one.collection for one in found.others):
        found.remarks.append("imports are always named (default): some imports may be of another database")
    found.values = [row["value"] for row in warehouse.query(extension.values())] if extension.placeholder else [""]
    for dataset in (extension.target(value).dataset for value in found.values):
        if not warehouse.exists(dataset):
            found.problems.append(f"dataset {dataset} does not exist: provision it first")
    return found


def agreement(warehouse: Warehouse, extension: Extension, columns: list[str], value: str = "") -> Agreement | None:
    """How the two logs' times compare in one dataset; None while Scout has streamed nothing of it."""
    target = extension.target(value)
    if not warehouse.exists(target.own_log):
        return None
    found = Agreement.model_validate(warehouse.query(extension.agreement(target, columns))[0])
    return found if found.writes else None


def _count(found: Inspection, row: Mapping[str, Any]) -> None:
    found.log_rows, found.rows, found.documents = row["log_rows"], row["row_count"], row["documents"]
    operations = {"CREATE": "creates", "UPDATE": "updates", "DELETE": "deletes", "IMPORT": "imports"}
    found.operations = {operation: row[column] for operation, column in operations.items()}
    found.first_at, found.last_at = row["first_at"], row["last_at"]
    found.repeated, found.tied_documents, found.not_json = row["repeated"], row["tied_documents"], row["not_json"]
    if not found.rows:
        found.problems.append("none of its rows is a document of this collection of this project and database")
    if row["creates"] + row["updates"] == 0 and row["imports"]:
        found.remarks.append("it has imports only: what changed since is known to Firestore alone")
    if row["imports"]:
        found.remarks.append("times of imports say nothing: any event of a document counts for more")
    if row["tied_documents"]:
        found.remarks.append("where the last rows of a document have one time, which came last is a guess")
    if row["not_json"]:
        found.remarks.append("rows whose data is not JSON are not shown until Firestore's document is copied")
    if row["cut_times"] * 2 > row["row_count"] - row["imports"] > 0:
        found.remarks.append("most times are cut to milliseconds or seconds: rows of both logs are matched by these")
