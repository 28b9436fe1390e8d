"""Which tenants exist, and their settings."""

import time
from collections.abc import Callable

from shared.errors import UnknownTenant
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
        """True where the tenant is provisioned."""
        if self._known.get(tenant_id, 0.0) > self._clock():
            return True
        if self._documents.get(f"tenants/{tenant_id}") is None:
            return False
        self._known[tenant_id] = self._clock() + REMEMBER_SECONDS
        return True

    def get(self, tenant_id: str) -> Tenant:
        """The tenant as it is now; UnknownTenant where there is none."""
        values = self._documents.get(f"tenants/{tenant_id}")
        if values is None:
            raise UnknownTenant("no such tenant", field="tenant_id", expected="a provisioned tenant")
        return Tenant.model_validate(values)

    def ids(self) -> list[str]:
        """Every provisioned tenant."""
        return [path.rsplit("/", 1)[-1] for path, _ in self._documents.find("tenants")]
