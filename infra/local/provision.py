"""Run the product's own provisioning: python -m infra.local.provision TENANT [SETTINGS as JSON]."""

from __future__ import annotations

import json
import sys


def main(tenant_id: str, settings: str = "{}") -> None:
    """Provision one tenant in the cloud that the environment describes."""
    from shared.runtime.clients import connect
    from shared.tenants.provision import provision_tenant
    from shared.tenants.records import SourceSettings

    given = json.loads(settings)
    sources = {name: SourceSettings(**values) for name, values in given.pop("sources", {}).items()}
    clients = connect()
    provision_tenant(clients.documents, clients.warehouse, tenant_id, sources=sources, **given)


if __name__ == "__main__":
    main(*sys.argv[1:])
