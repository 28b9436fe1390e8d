"""Run the product's own provisioning: python -m infra.local.provision project | tenant TENANT."""

from __future__ import annotations

import importlib
import sys


def main() -> None:
    """Provision the project's datasets and tables, or those of one tenant."""
    provisioning = importlib.import_module("shared.tenants.provision")
    match sys.argv[1:]:
        case ["project"]:
            provisioning.provision_project()
        case ["tenant", tenant_id]:
            provisioning.provision_tenant(tenant_id)
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
