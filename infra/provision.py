"""Make a tenant ready, here or in production: python -m infra.provision TENANT [SETTINGS as JSON].

SETTINGS: {"name": "Shop", "currency": "EUR", "sources": {"ga4": {"property_id": "properties/1"}},
"detectors": {"page_cvr_drop": {"thresholds": {"min_sessions": 500}}}}. Which project it works on is what the
environment says, as for every function (docs/settings.md). Idempotent.
"""

from __future__ import annotations

import json
import sys


def main(tenant_id: str, settings: str = "{}") -> int:
    """Provision one tenant in the project that the environment names; 1 and a sentence where that cannot be."""
    from pydantic import ValidationError

    from shared.detectors.catalogue import catalogue
    from shared.detectors.overrides import problems
    from shared.errors import AppError
    from shared.runtime.clients import connect
    from shared.schema.names import tenant_id as valid_tenant_id
    from shared.tenants.provision import TENANT_DATASET, provision_tenant
    from shared.tenants.records import SourceSettings

    try:
        given = json.loads(settings)
        wrong = problems(catalogue(), given.get("detectors", {}))
        if wrong:
            print("\n".join(f"detectors.{name}: {problem}" for name, problem in wrong.items()), file=sys.stderr)
            return 1
        sources = {name: SourceSettings(**values) for name, values in given.pop("sources", {}).items()}
        clients = connect()
        dataset = TENANT_DATASET.format(tenant_id=valid_tenant_id(tenant_id))
        fresh = not clients.warehouse.exists(dataset)
        provision_tenant(clients.documents, clients.warehouse, tenant_id, sources=sources, **given)
        if fresh:
            clients.migrations.start_at_newest(tenant_id)
    except AppError as error:
        print(
            f"{error.message}: {', '.join(f'{name} {value}' for name, value in error.fields.items())}", file=sys.stderr
        )
        return 1
    except ValidationError as error:
        for entry in error.errors(include_url=False, include_input=False):
            print(f"{'.'.join(map(str, entry['loc']))}: {entry['msg']}", file=sys.stderr)
        return 1
    except json.JSONDecodeError as error:
        print(f"SETTINGS is not JSON: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit("say which tenant: python -m infra.provision TENANT [SETTINGS as JSON]")
    sys.exit(main(*sys.argv[1:]))
