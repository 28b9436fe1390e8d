"""What the extension firestore-bigquery-export really writes, captured from its own packages (see capture.py)."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import orjson

from shared.schema.bigquery import TableDefinition
from shared.streaming.tables import EXTENSION_COLUMNS

CAPTURED = Path(__file__).with_name("captured.json")
SCHEMAS = Path(__file__).with_name("schemas")
PACKAGES = (
    "@firebaseextensions/firestore-bigquery-change-tracker@2.2.1",
    "@firebaseextensions/fs-bq-import-collection@0.1.27",
    "@firebaseextensions/fs-bq-schema-views@0.4.13",
)
TABLES = ("users", "shop_users", "orders")


@dataclass(frozen=True)
class Changelog:
    """The extension's table, in its order of columns."""

    names: tuple[str, ...]

    def named(self, dataset: str, table: str) -> TableDefinition:
        """The definition of one table."""
        columns = {column.name: column for column in EXTENSION_COLUMNS}
        return TableDefinition(dataset, f"{table}_raw_changelog", tuple(columns[name] for name in self.names))


CHANGELOG = Changelog(
    ("timestamp", "event_id", "document_name", "operation", "data", "old_data", "document_id", "path_params")
)


@cache
def captured() -> dict[str, Any]:
    """The captured history: changes, rows by table, documents in the end."""
    found: dict[str, Any] = orjson.loads(CAPTURED.read_bytes())
    return found
