"""Which tenants exist, and their settings."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError

from shared.errors import Rejected, UnknownTenant
from shared.schema.names import TENANT
from shared.schema.ports import Documents
from shared.tenants.records import Tenant

REMEMBER_SECONDS = 60.0


class Tenants:
    """Reads tenants; a found one is remembered for a minute, an unknown one never (it may be provisioned next)."""

    def __init__(self, documents: Documents, clock: Callable[[], float] = time.monotonic) -> None:
        self._documents = documents
        self._clock = clock
        self._known: dict[str, float] = {}

    def exists(self, tenant_id: str) -> bool:
        """True where the tenant is provisioned and not suspended; that it no longer is, is known a minute later."""
        if self._known.get(tenant_id, 0.0) > self._clock():
            return True
        if not _active(self._documents.get(f"tenants/{tenant_id}")):
            return False
        self._known[tenant_id] = self._clock() + REMEMBER_SECONDS
        return True

    def get(self, tenant_id: str) -> Tenant:
        """The tenant as it is now. UnknownTenant where there is none, or it is suspended; Rejected where its settings
        are not valid.
        """
        values = self._documents.get(f"tenants/{tenant_id}")
        if not _active(values):
            raise UnknownTenant("no such tenant", field="tenant_id", expected="a provisioned tenant")
        try:
            return Tenant.model_validate(values)
        except ValidationError as error:
            wrong = error.errors(include_url=False, include_input=False, include_context=False)
            raise Rejected(
                "the tenant's settings are not valid",
                errors=[{"field": ".".join(map(str, each["loc"])), "expected": each["msg"]} for each in wrong],
            ) from None

    def ids(self) -> list[str]:
        """Every active tenant; what is stored under a name that no tenant can have is none."""
        named = ((path.rsplit("/", 1)[-1], values) for path, values in self._documents.find("tenants"))
        return [name for name, values in named if TENANT.fullmatch(name) and _active(values)]


def _active(values: Mapping[str, Any] | None) -> bool:
    return values is not None and values.get("status") != "suspended"
