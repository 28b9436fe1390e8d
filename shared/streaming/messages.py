"""Messages of streaming."""

from functools import cache
from typing import ClassVar

from pydantic import Field

from shared.schema.message import Message
from shared.schema.names import TenantId


class MergeRequested(Message):
    """Merge the current tables of one tenant, or of all (an operator who names none).

    force: where the merge is not due too; a busy table is an error. compact: the same, for the sake of closed hours.
    discover: not only what is known to be due, but all tables that are: those too that were never merged.
    """

    topic: ClassVar[str] = "merge-requested"

    tenant_id: TenantId | None = None
    force: bool = False
    compact: bool = False
    discover: bool = False


class BackfillAsked(Message):
    """What people ask: copy what a collection holds, or with `dry_run` say what that would cost."""

    tenant_id: TenantId | None = Field(None, description="Whose the collection must be; an operator may leave it out.")
    collection: str = Field(min_length=1, max_length=1_000, description="`tenants/demo/things`.")
    database: str = "(default)"
    since: str | None = Field(None, description="ISO date or time: only documents whose `field` is not before it.")
    field: str | None = Field(None, min_length=1, max_length=500)
    slices: int = Field(0, ge=0, le=1_000, description="0: by the number of documents.")
    dry_run: bool = False


class BackfillRequested(Message):
    """Take up a backfill, from where it is."""

    topic: ClassVar[str] = "backfill-requested"

    run_id: str = Field(pattern=r"^[\w.-]{1,100}$")


class DocumentsChanged(Message):
    """Documents of one record changed, and their rows are in BigQuery. Ids only: the rows may have changed since."""

    collection: str
    tenant_id: str | None
    document_ids: tuple[str, ...]


@cache
def changed(topic: str) -> type[DocumentsChanged]:
    """The message of one record's topic."""
    return type("Changed", (DocumentsChanged,), {"topic": topic, "__annotations__": {"topic": ClassVar[str]}})
