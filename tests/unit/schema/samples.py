"""A record that no module of the product knows: what the machinery makes of it, it makes of any."""

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from shared.schema.record import (
    Caches,
    ClientWritable,
    Collection,
    Immutable,
    Json,
    Key,
    Namespace,
    Personal,
    Record,
    Table,
)


class Address(BaseModel):
    """A nested value."""

    street: str
    lines: list[str] = []
    zip_code: str | None = None


class Invoice(Record):
    """What a customer owes.

    Only the first line is a description.
    """

    invoice_id: Key[str] = Field(description="The vendor's own id.")
    tenant_id: Key[str]
    issued_on: Immutable[date]
    amount: Annotated[float, Field(ge=0)]
    exact: Decimal | None = None
    count: int = 0
    paid: bool = False
    state: ClientWritable[Literal["open", "paid"]] = "open"
    remark: ClientWritable[Personal[str | None]] = Field(None, max_length=500)
    tags: list[str] = []
    parts: tuple[int, ...] = ()
    receipt: bytes | None = None
    address: Address | None = None
    extra: Json = {}
    anything: Any = None
    by_month: dict[str, int] = {}
    seen_at: datetime | None = None
    expires_at: datetime | None = None

    collection = Collection(
        "tenants/{tenant_id}/invoices", indexes=(("state", "-issued_on"), ("tags", "amount")), ttl_field="expires_at"
    )
    table = Table(
        "aso_tenant_{tenant_id}.invoices",
        partition_by="issued_on",
        cluster_by=("state", "count"),
        retention_days=400,
        log_retention_days=30,
    )
    caches = Caches(Namespace("invoices:{tenant_id}", ttl_seconds=60))
    published_as = "invoices-changed"


class Summary(Record):
    """Rows that a run owns: no documents."""

    tenant_id: Key[str]
    day: Key[date]
    total: float | None = None

    schema_version = 3
    table = Table("aso_tenant_{tenant_id}.summaries", partition_by="day", cluster_by=("tenant_id",), retention_days=10)


class Shared(Record):
    """A top-level collection that all tenants share."""

    tenant_id: Key[str]
    word: str

    collection = Collection("words")
