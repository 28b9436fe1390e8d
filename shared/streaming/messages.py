"""Messages of streaming."""

from functools import cache
from typing import ClassVar

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


class DocumentsChanged(Message):
    """Documents of one record changed, and their rows are in BigQuery. Ids only: the rows may have changed since."""

    collection: str
    tenant_id: str | None
    document_ids: tuple[str, ...]


@cache
def changed(topic: str) -> type[DocumentsChanged]:
    """The message of one record's topic."""
    return type("Changed", (DocumentsChanged,), {"topic": topic, "__annotations__": {"topic": ClassVar[str]}})
