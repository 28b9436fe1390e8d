"""A tenant whose raw documents are in its logs, and the ETL over them, on the emulated BigQuery."""

import itertools
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from shared.analytics.entities import Group
from shared.analytics.etl import Etl, EtlResult
from shared.ops.leases import Leases
from shared.ops.progress import ProgressBook
from shared.schema.ports import Warehouse
from shared.tenants.provision import provision_tenant
from shared.tenants.service import Tenants
from tests.fakes import FakeDocuments, FakePublisher

Documents = Mapping[str, Sequence[tuple[str, Mapping[str, Any]]]]
"""Collection -> documents as (id, fields), as a source's pages have them."""
numbers = itertools.count()


class Lab:
    """The tenant; `settings` are fields of its own document."""

    def __init__(self, warehouse: Warehouse, groups: Sequence[Group], now: datetime, **settings: Any) -> None:
        self.tenant_id = f"lab{next(numbers)}"
        self.dataset = f"aso_tenant_{self.tenant_id}"
        self.warehouse, self.groups, self.now = warehouse, groups, now
        self.documents = FakeDocuments()
        provision_tenant(self.documents, warehouse, self.tenant_id)
        path = f"tenants/{self.tenant_id}"
        self.documents.put(path, {**(self.documents.get(path) or {}), **settings})

    def arrive(self, documents: Documents) -> None:
        """Put documents into the logs, as the stream does; a second version of one comes an hour later."""
        for collection, rows in documents.items():
            logged = [self._logged(collection, name, fields) for name, fields in rows]
            self.warehouse.load(f"{self.dataset}.{collection}_raw_changelog", logged)
        self.now += timedelta(hours=1)

    def run(self, full: bool = False) -> EtlResult:
        """Run the ETL of the groups."""
        ops = self.documents
        arguments = (self.warehouse, ops, ProgressBook(ops), Leases(ops), FakePublisher(), Tenants(ops).get)
        etl = Etl(*arguments, groups=self.groups, now=lambda: self.now)
        return etl.run(self.tenant_id, "etl-1", full=full)

    def metrics(self, entity_type: str) -> dict[tuple[date, str], dict[str, Any]]:
        """(day, entity) -> its row."""
        sql = f"SELECT * FROM `{self.dataset}.daily_entity_metrics` WHERE entity_type = @entity_type"  # noqa: S608
        rows = self.warehouse.query(sql, entity_type=entity_type)
        return {(row["date"], row["entity_id"]): row for row in rows}

    def aliases(self) -> dict[tuple[str, str, str], tuple[str, str]]:
        """(entity type, source, alias) -> entity and how it was found."""
        rows = self.warehouse.query(f"SELECT * FROM `{self.dataset}.entity_aliases`")  # noqa: S608
        return {(row["entity_type"], row["source"], row["alias"]): (row["entity_id"], row["how"]) for row in rows}

    def _logged(self, collection: str, name: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "timestamp": self.now,
            "event_id": f"{collection}-{name}-{self.now.timestamp()}",
            "document_name": f"projects/p/databases/(default)/documents/{collection}/{name}",
            "operation": "CREATE",
            "version": self.now,
            "deleted": False,
            "appended_at": self.now,
            "tenant_id": self.tenant_id,
            **fields,
        }
