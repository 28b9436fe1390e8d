"""A changelog of the Firebase extension firestore-bigquery-export: its names, its columns, and what its rows say.

users_raw_changelog     the extension's log; it stays as it is, read in place
users_scout_changelog   Scout's own log, beside it
users_base, users       the current table and the exact view, as of every stream
users_history           the changes of both logs, each once
users_raw_latest        the view that dashboards read, under the extension's name
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Self

from pydantic import ValidationError

from shared.errors import BadRequest
from shared.schema.record import GROUP, PLACEHOLDER, Record
from shared.schema.sql import render
from shared.streaming.streams import Pattern
from shared.streaming.tables import base_table, dataset_of, log_table, view_name

SUFFIX = "_raw_changelog"
NEEDED = {
    "timestamp": "TIMESTAMP",
    "event_id": "STRING",
    "document_name": "STRING",
    "operation": "STRING",
    "data": "STRING",
}
"""Columns of every version of the extension; `document_id`, `old_data` and `path_params` came later."""
LATEST_COLUMNS = ("document_name", "document_id", "timestamp", "event_id", "operation", "data", "old_data")
"""Of the extension's view of the latest state, in its order; `path_params` follows where there are wildcards."""
UNQUOTABLE = re.compile(r"['\"`\\\x00-\x1f\x7f]")


@dataclass(frozen=True)
class Target:
    """The tables of one dataset that a log is adopted into."""

    record: type[Record]
    names: Mapping[str, str]
    prefix: str

    @property
    def dataset(self) -> str:
        """The dataset's name."""
        return dataset_of(self.record, self.names)

    @property
    def view(self) -> str:
        """`dataset.name` of the exact view."""
        return view_name(self.record, self.dataset)

    @property
    def base(self) -> str:
        """`dataset.name` of the current table."""
        return f"{self.dataset}.{base_table(self.record).table}"

    @property
    def own_log(self) -> str:
        """`dataset.name` of Scout's log."""
        return f"{self.dataset}.{log_table(self.record).table}"

    @property
    def history(self) -> str:
        """`dataset.name` of the view of all changes."""
        return f"{self.dataset}.{self.prefix}_history"

    @property
    def raw_latest(self) -> str:
        """`dataset.name` of the view of the latest state, as the extension calls it."""
        return f"{self.dataset}.{self.prefix}_raw_latest"

    def schema_view(self, schema: str, kind: str) -> str:
        """`dataset.name` of a schema view, `latest` or `changelog`, as the extension's script calls it."""
        return f"{self.dataset}.{self.prefix}_schema_{schema}_{kind}"


@dataclass(frozen=True)
class Extension:
    """One changelog of the extension, and the pattern that streams its collection from now on."""

    dataset: str
    prefix: str
    project: str
    pattern: Pattern

    @classmethod
    def of(cls, log: str, collection: str, project: str, database: str = "(default)", table: str = "") -> Self:
        """The log `dataset.users_raw_changelog` of a collection.

        table: `dataset.name` of the current table, if not the log's own; the dataset may have one placeholder of the
        collection's path. BadRequest names what is wrong.
        """
        dataset, _, name = log.partition(".")
        if not re.fullmatch(r"\w+\.\w+", log) or not name.endswith(SUFFIX) or name == SUFFIX:
            raise BadRequest("not a changelog of the extension", field="log", expected=f"dataset.users{SUFFIX}")
        if UNQUOTABLE.search(collection) or UNQUOTABLE.search(database):
            raise BadRequest("quotes and backslashes cannot be adopted", field="collection", expected="users")
        prefix = name.removesuffix(SUFFIX)
        table = table or f"{dataset}.{prefix}"
        # Where the extension's log lies, Scout's own needs another name.
        own = f"{prefix}_scout_changelog" if table.startswith(f"{dataset}.") else ""
        try:
            pattern = Pattern(path=collection, table=table, database=database, log=own)
        except ValidationError as error:
            found = error.errors(include_url=False, include_context=False)[0]
            raise BadRequest(found["msg"], field="collection or table", expected="users, dataset.users") from error
        if PLACEHOLDER.search(table.partition(".")[2]) or len(PLACEHOLDER.findall(table)) > 1:
            raise BadRequest("one placeholder, in the dataset", field="table", expected="aso_tenant_{tenant_id}.things")
        return cls(dataset, prefix, project, pattern)

    @property
    def log(self) -> str:
        """`dataset.table` of the changelog."""
        return f"{self.dataset}.{self.prefix}{SUFFIX}"

    @property
    def stream_id(self) -> str:
        """Id of the document that says how the collection is streamed."""
        return f"adopted-{self.log}"

    @property
    def placeholder(self) -> str | None:
        """The placeholder that names the dataset; None where all documents go to one."""
        return next(iter(PLACEHOLDER.findall(self.pattern.table)), None)

    def target(self, value: str = "") -> Target:
        """The tables for one value of the placeholder."""
        names = {self.placeholder: value} if self.placeholder else {}
        return Target(self.pattern.record(names), names, self.prefix)

    def changes(self, columns: Collection[str], names: Mapping[str, str] | None = None) -> str:
        """SQL of the log's rows that are the collection's (of one dataset, if named), names of documents put right."""
        return render(
            "adoption/sql/changes.sql",
            log=self.log,
            project=self.project,
            database=self.pattern.database,
            misnamed=self._misnamed,
            taken=self._taken(names or {}),
            columns=columns,
        )

    def values(self) -> str:
        """SQL of the placeholder's values that the log has."""
        return render("adoption/sql/values.sql", log=self.log, documents=self._documents(None, {}, captured=True))

    def build(self, target: Target, columns: Collection[str]) -> str:
        """SQL that takes the newest state of each document into the current table; a repeat changes nothing."""
        return render(
            "adoption/sql/build.sql",
            base=target.base,
            changes=self.changes(columns, target.names),
            columns=base_table(target.record).column_names(),
        )

    def history(self, target: Target, columns: Collection[str]) -> str:
        """SQL of the view of both logs' changes, each once."""
        changes = self.changes(columns, target.names)
        return render("adoption/sql/history.sql", changes=changes, own_log=target.own_log)

    def latest(self, target: Target, columns: Collection[str]) -> str:
        """SQL of the view of the latest state, with these columns in this order."""
        return render("adoption/sql/raw_latest.sql", view=target.view, base=target.base, columns=columns)

    def inspection(self, columns: Collection[str]) -> tuple[str, str]:
        """SQL that counts the log's rows, and SQL that names rows of other collections."""
        return (
            render("adoption/sql/inspect.sql", log=self.log, changes=self.changes(columns)),
            render("adoption/sql/others.sql", log=self.log, taken=self._taken({})),
        )

    def agreement(self, target: Target, columns: Collection[str]) -> str:
        """SQL that compares both logs' times of the same writes."""
        changes = self.changes(columns, target.names)
        return render("adoption/sql/agreement.sql", changes=changes, own_log=target.own_log)

    @property
    def _misnamed(self) -> bool:
        """True where imports have the wrong name: the import script writes (default) whatever database it read."""
        return self.pattern.database != "(default)"

    def _taken(self, names: Mapping[str, str]) -> str:
        """The condition that a row of the log is the collection's."""
        taken = f"REGEXP_CONTAINS(document_name, r'{self._documents(self.pattern.database, names)}')"
        if not self._misnamed:
            return taken
        misnamed = f"REGEXP_CONTAINS(document_name, r'{self._documents('(default)', names)}')"
        return f"{taken} OR (operation = 'IMPORT' AND {misnamed})"

    def _documents(self, database: str | None, names: Mapping[str, str], captured: bool = False) -> str:
        """A regular expression of the documents' full names."""
        path = self.pattern.path
        if path.startswith(GROUP):
            parts = r"(?:[^/]+/[^/]+/)*" + re.escape(path.removeprefix(GROUP))
        else:
            parts = "/".join(self._part(part, names, captured) for part in path.split("/"))
        within = "[^/]+" if database is None else re.escape(database)
        return f"^projects/{re.escape(self.project)}/databases/{within}/documents/{parts}/[^/]+$"

    def _part(self, part: str, names: Mapping[str, str], captured: bool) -> str:
        found = PLACEHOLDER.fullmatch(part)
        if found is None:
            return re.escape(part)
        if found[1] in names:
            return re.escape(names[found[1]])
        return "([^/]+)" if captured and found[1] == self.placeholder else "[^/]+"
