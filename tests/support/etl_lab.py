"""A tenant with documents in its logs, and the ETL's statements run over them."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from shared.adapters.bigquery import BigQueryWarehouse
from shared.analytics.entities import Group
from shared.analytics.etl import Etl, EtlResult
from shared.ops.leases import Leases
from shared.ops.progress import ProgressBook
from shared.tenants.provision import provision_tenant
from shared.tenants.service import Tenants
from tests.fakes import FakeDocuments, FakePublisher

Row = Mapping[str, Any]
_numbers = itertools.count()
_BESIDE = {"tenant_id", "date", "entity_type", "entity_id", "attributes", "updated_at", "schema_version"}


class EtlLab:
    """One tenant on the emulated BigQuery; `now` is noon of the day after the last that is made."""

    def __init__(self, warehouse: BigQueryWarehouse, groups: Sequence[Group], today: date, **settings: Any) -> None:
        self.tenant_id = f"lab{next(_numbers)}"
        self.dataset = f"aso_tenant_{self.tenant_id}"
        self.groups = groups
        self.warehouse, self.documents = warehouse, FakeDocuments()
        self.now = datetime.combine(today, time(12), UTC)
        provision_tenant(self.documents, warehouse, self.tenant_id)
        tenant = self.documents.get(f"tenants/{self.tenant_id}") or {}
        self.documents.put(f"tenants/{self.tenant_id}", {**tenant, **settings})

    def arrive(self, raw: Mapping[str, Iterable[Row]], run_id: str = "sync-1", deleted: bool = False) -> None:
        """Documents as the stream puts them into the logs: collection -> rows, each with its document's id as `id`."""
        for collection, rows in raw.items():
            logged = [
                {
                    "timestamp": self.now,
                    "event_id": f"{collection}-{row['id']}-{self.now.timestamp()}",
                    "document_name": f"projects/p/databases/(default)/documents/{collection}/{row['id']}",
                    "operation": "DELETE" if deleted else "CREATE",
                    "version": self.now,
                    "deleted": deleted,
                    "appended_at": self.now,
                    "tenant_id": self.tenant_id,
                    "sync_run_id": run_id,
                    **{name: value for name, value in row.items() if name != "id"},
                }
                for row in rows
            ]
            if logged:
                self.warehouse.load(f"{self.dataset}.{collection}_raw_changelog", logged)

    def run(self, run_id: str, full: bool = False) -> EtlResult:
        """One run of the ETL, an hour after what arrived last."""
        self.now += timedelta(hours=1)
        ops = self.documents
        books = ProgressBook(ops), Leases(ops), FakePublisher(), Tenants(ops).get
        etl = Etl(self.warehouse, ops, *books, groups=self.groups, now=lambda: self.now)
        return etl.run(self.tenant_id, run_id, full=full)

    def rows(self, sql: str) -> list[dict[str, Any]]:
        """What a query yields; `{dataset}` is the tenant's."""
        return list(self.warehouse.query(sql.format(dataset=self.dataset)))

    def metrics(self) -> dict[tuple[str, str, str], dict[str, Any]]:
        """(entity type, ISO day, id) -> what is known of it: columns and attributes that are not NULL."""
        found = {}
        for row in self.rows("SELECT * FROM `{dataset}.daily_entity_metrics`"):
            known = {**row, **(row["attributes"] or {})}
            key = row["entity_type"], row["date"].isoformat(), row["entity_id"]
            found[key] = {name: value for name, value in known.items() if value is not None and name not in _BESIDE}
        return found
