"""Credentials of tenants' sources in the environment, by names made of the tenant's own: none can name another's."""

import os
from collections.abc import Mapping

from shared.errors import CredentialsRefused


class EnvironmentSecrets:
    """The environment (port `Secrets`): the variable SCOUT_SECRET_<TENANT>_<SOURCE>."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._environment = environment

    def get(self, tenant_id: str, source: str) -> str:
        name = f"SCOUT_SECRET_{tenant_id.upper()}_{source.upper()}"
        if name not in self._environment:
            raise CredentialsRefused("there are no credentials", source=source, expected=f"a variable {name}")
        return self._environment[name]
