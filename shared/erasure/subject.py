"""Whose data goes: one document with all that lies below it, or one tenant."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from shared.errors import BadRequest
from shared.schema.names import tenant_id as valid_tenant_id

Kind = Literal["document", "tenant"]


@dataclass(frozen=True)
class Subject:
    """path: `tenants/demo/contacts/x`, or `tenants/demo` for a tenant.

    until: Firestore's own time at which it was gone there. What is written later under the same name is a new
    document, and stays; None before that.
    """

    kind: Kind
    path: str
    database: str = "(default)"
    until: datetime | None = None

    @property
    def tenant_id(self) -> str | None:
        """The tenant it belongs to, where its path tells."""
        parts = self.path.split("/")
        return parts[1] if parts[0] == "tenants" and len(parts) > 1 else None

    def full_name(self, project: str, database: str = "") -> str:
        """The document's name as rows and events carry it."""
        return f"projects/{project}/databases/{database or self.database}/documents/{self.path}"


def document(path: str, database: str = "(default)") -> Subject:
    """One document and all below it. BadRequest where that is no document's path, or a tenant's own."""
    parts = path.split("/")
    if len(parts) % 2 or "" in parts:
        raise BadRequest("not a document's path", field="document", expected="tenants/demo/contacts/x")
    if len(parts) == 2 and parts[0] == "tenants":
        raise BadRequest("that is a whole tenant", field="document", expected=f"scout erase tenant {parts[1]}")
    return Subject("document", path, database)


def tenant(tenant_id: str) -> Subject:
    """One tenant with everything it has. BadRequest where the id is not valid."""
    return Subject("tenant", f"tenants/{valid_tenant_id(tenant_id)}")
