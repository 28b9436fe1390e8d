"""Credentials of tenants' sources in Secret Manager, by names made of the tenant's own: none can name another's."""

from functools import cached_property

from google.api_core import exceptions
from google.api_core.retry import Retry, if_transient_error
from google.cloud.secretmanager_v1 import SecretManagerServiceClient

from shared.errors import CredentialsRefused, Unavailable

TIMEOUT_SECONDS = 10.0


class SecretManager:
    """Secret Manager (port `Secrets`): the newest version of `scout-<tenant>-<source>`."""

    def __init__(
        self,
        project: str,
        client: SecretManagerServiceClient | None = None,
        timeout_seconds: float = TIMEOUT_SECONDS,
    ) -> None:
        self._project = project
        self._given = client
        self._timeout_seconds = timeout_seconds

    @cached_property
    def _client(self) -> SecretManagerServiceClient:
        # On first use: who asks for a sync, and reads no secret, needs no connection.
        return self._given or SecretManagerServiceClient()

    def get(self, tenant_id: str, source: str) -> str:
        secret = f"scout-{tenant_id}-{source}"
        name = f"projects/{self._project}/secrets/{secret}/versions/latest"
        # The client's own would last a minute.
        patience = Retry(if_transient_error, initial=0.1, timeout=self._timeout_seconds)
        try:
            found = self._client.access_secret_version(name=name, timeout=self._timeout_seconds, retry=patience)
            return str(found.payload.data.decode())
        except UnicodeDecodeError:
            # Without the error itself, which carries them.
            raise CredentialsRefused(
                "the credentials are not text", source=source, expected=f"a secret {secret} in UTF-8"
            ) from None
        except (exceptions.NotFound, exceptions.FailedPrecondition, exceptions.PermissionDenied) as error:
            raise CredentialsRefused(
                "there are no credentials", source=source, expected=f"a secret {secret}"
            ) from error
        except exceptions.GoogleAPIError as error:
            raise Unavailable("Secret Manager is not available", cause=type(error).__name__) from error
