"""Credentials of tenants' sources in Secret Manager, by names made of the tenant's own: none can name another's."""

from functools import cached_property

from google.api_core import exceptions
from google.cloud.secretmanager_v1 import SecretManagerServiceClient

from shared.errors import CredentialsRefused, Unavailable

TIMEOUT_SECONDS = 10.0


class SecretManager:
    """Secret Manager (port `Secrets`): the newest version of `scout-<tenant>-<source>`."""

    def __init__(self, project: str, client: SecretManagerServiceClient | None = None) -> None:
        self._project = project
        self._given = client

    @cached_property
    def _client(self) -> SecretManagerServiceClient:
        # On first use: who asks for a sync, and reads no secret, needs no connection.
        return self._given or SecretManagerServiceClient()

    def get(self, tenant_id: str, source: str) -> str:
        secret = f"scout-{tenant_id}-{source}"
        name = f"projects/{self._project}/secrets/{secret}/versions/latest"
        try:
            found = self._client.access_secret_version(name=name, timeout=TIMEOUT_SECONDS)
        except (exceptions.NotFound, exceptions.FailedPrecondition, exceptions.PermissionDenied) as error:
            raise CredentialsRefused(
                "there are no credentials", source=source, expected=f"a secret {secret}"
            ) from error
        except exceptions.GoogleAPICallError as error:
            raise Unavailable("Secret Manager is not available", cause=type(error).__name__) from error
        return str(found.payload.data.decode())
