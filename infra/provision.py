"""Make a tenant ready, here or in production: python -m infra.provision TENANT [SETTINGS as JSON].

SETTINGS: {"name": "Shop", "currency": "EUR", "sources": {"ga4": {"property_id": "properties/1"}}}. Which project it
works on is what the environment says, as for every function (docs/settings.md). Idempotent.
"""

from __future__ import annotations

import json
import sys


def main(tenant_id: str, settings: str = "{}") -> None:
    """Provision one tenant in the project that the environment names."""
    from shared.runtime.clients import connect
    from shared.tenants.provision import provision_tenant
    from shared.tenants.records import SourceSettings

    given = json.loads(settings)
    sources = {name: SourceSettings(**values) for name, values in given.pop("sources", {}).items()}
    clients = connect()
    provision_tenant(clients.documents, clients.warehouse, tenant_id, sources=sources, **given)


if __name__ == "__main__":
    main(*sys.argv[1:])
