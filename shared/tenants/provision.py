"""Provisioning a tenant: dataset, tables, views and settings from the declared records.

Idempotent, and the same operation everywhere: what exists is left alone, what is missing is added.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from shared.schema.bigquery import plain_table
from shared.schema.names import tenant_id as valid_tenant_id
from shared.schema.ports import Documents, Warehouse
from shared.schema.registry import records
from shared.streaming.tables import provision as provision_streamed
from shared.tenants.records import SourceSettings, Tenant

TENANT_DATASET = "aso_tenant_{tenant_id}"


def provision_tenant(
    documents: Documents,
    warehouse: Warehouse,
    tenant_id: str,
    *,
    name: str = "",
    sources: Mapping[str, SourceSettings] | None = None,
    **settings: Any,
) -> list[str]:
    """Make a tenant ready: its dataset, every table and view, then its settings document.

    Returns the names of the record tables. The settings come last: a tenant that can be found is complete.
    Settings that exist are kept, except those given here.
    """
    valid_tenant_id(tenant_id)
    names = {"tenant_id": tenant_id}
    dataset = TENANT_DATASET.format(**names)
    warehouse.ensure_dataset(dataset, labels={"tenant": tenant_id})
    made = []
    for record in records():
        table = record.table
        if table is None or table.dataset != TENANT_DATASET:
            continue
        if record.streamed():
            provision_streamed(warehouse, record, names)
        else:
            warehouse.ensure_table(dataset, plain_table(record))
        made.append(table.name.format(**names))
    given = {"name": name, "sources": {key: value.model_dump() for key, value in (sources or {}).items()}, **settings}

    def settle(found: dict[str, Any] | None) -> dict[str, Any]:
        now = datetime.now(UTC)
        before = found or {"tenant_id": tenant_id, "created_at": now}
        changes = {key: value for key, value in given.items() if value}
        return Tenant.model_validate({**before, **changes, "updated_at": now}).document()

    documents.transact(f"tenants/{tenant_id}", settle)
    return made
