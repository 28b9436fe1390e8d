"""Where credentials are kept: both implementations alike, Secret Manager's by its client over the wire."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from google.cloud.secretmanager_v1 import SecretManagerServiceClient
from google.cloud.secretmanager_v1.services.secret_manager_service.transports import SecretManagerServiceGrpcTransport
from google.cloud.secretmanager_v1.types import (
    AccessSecretVersionRequest,
    AccessSecretVersionResponse,
    SecretPayload,
)

from shared.adapters.environment_secrets import EnvironmentSecrets
from shared.adapters.secret_manager import SecretManager
from shared.errors import CredentialsRefused, Unavailable
from shared.schema.ports import Secrets

ACCESS = "/google.cloud.secretmanager.v1.SecretManagerService/AccessSecretVersion"
JSON = '{"client_id": "a b", "client_secret": "ü"}\n'


class Manager(grpc.GenericRpcHandler):
    """Plays Secret Manager: newest versions by name, and a fault of the first requests."""

    def __init__(self) -> None:
        self.held: dict[str, bytes] = {}
        self.fault: grpc.StatusCode | None = None
        self.faults = 10_000
        self.asked = 0

    def service(self, details: Any) -> Any:
        assert details.method == ACCESS
        return grpc.unary_unary_rpc_method_handler(
            self.access, AccessSecretVersionRequest.deserialize, AccessSecretVersionResponse.serialize
        )

    def access(self, request: Any, context: Any) -> Any:
        self.asked += 1
        if self.fault is not None and self.asked <= self.faults:
            context.abort(self.fault, "played")
        project, secret = request.name.split("/")[1::2][:2]
        if project != "p" or secret not in self.held or not request.name.endswith("/versions/latest"):
            context.abort(grpc.StatusCode.NOT_FOUND, f"Secret [{request.name}] not found")
        return AccessSecretVersionResponse(name=request.name, payload=SecretPayload(data=self.held[secret]))


@pytest.fixture
def manager() -> Iterator[tuple[Manager, SecretManager]]:
    played, server = Manager(), grpc.server(ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers((played,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        client = SecretManagerServiceClient(transport=SecretManagerServiceGrpcTransport(channel=channel))
        yield played, SecretManager("p", client, timeout_seconds=1)
    server.stop(None)


Held = Callable[[str, str, str], Secrets]


@pytest.fixture(params=["secret-manager", "environment"])
def holding(request: pytest.FixtureRequest, manager: tuple[Manager, SecretManager]) -> Held:
    """Each implementation, holding what one source of one tenant needs."""

    def hold(tenant_id: str, source: str, credentials: str) -> Secrets:
        if request.param == "environment":
            return EnvironmentSecrets({f"SCOUT_SECRET_{tenant_id.upper()}_{source.upper()}": credentials})
        manager[0].held[f"scout-{tenant_id}-{source}"] = credentials.encode()
        return manager[1]

    return hold


@pytest.mark.parametrize("credentials", [JSON, "sk_test_1", ""])
def test_credentials_are_given_as_they_were_put_there(holding: Held, credentials: str):
    assert holding("demo", "google_ads", credentials).get("demo", "google_ads") == credentials


@pytest.mark.parametrize(
    ("tenant_id", "source"), [("other", "stripe"), ("demo", "stripe_webhook"), ("dem", "o_stripe")]
)
def test_what_is_another_tenants_or_sources_is_not_given(holding: Held, tenant_id: str, source: str):
    with pytest.raises(CredentialsRefused, match="there are no credentials") as refused:
        holding("demo", "stripe", "sk_test_1").get(tenant_id, source)
    assert tenant_id in refused.value.fields["expected"].lower()
    assert source in refused.value.fields["expected"].lower()
    assert "sk_test_1" not in repr((refused.value.args, refused.value.fields))


def test_a_new_version_is_taken_at_once(holding: Held):
    assert holding("demo", "stripe", "old").get("demo", "stripe") == "old"
    assert holding("demo", "stripe", "new").get("demo", "stripe") == "new"


# --- Secret Manager alone ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.PERMISSION_DENIED])
def test_a_version_that_is_disabled_or_may_not_be_read_is_told_and_not_tried_again(manager: Any, fault: Any):
    played, secrets = manager
    played.fault = fault
    with pytest.raises(CredentialsRefused):
        secrets.get("demo", "stripe")
    assert played.asked == 1


def test_a_moments_trouble_is_tried_again(manager: Any):
    played, secrets = manager
    played.held["scout-demo-stripe"] = b"sk"
    played.fault, played.faults = grpc.StatusCode.UNAVAILABLE, 1
    assert secrets.get("demo", "stripe") == "sk"
    assert played.asked == 2


@pytest.mark.parametrize("fault", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED])
def test_a_manager_that_stays_away_is_unavailable(manager: Any, fault: Any):
    played, secrets = manager
    played.fault = fault
    with pytest.raises(Unavailable, match="Secret Manager is not available"):
        secrets.get("demo", "stripe")
    assert played.asked > 1


def test_what_is_no_text_is_told_without_it(manager: Any):
    played, secrets = manager
    played.held["scout-demo-stripe"] = b"sk\xff"
    with pytest.raises(CredentialsRefused, match="are not text") as refused:
        secrets.get("demo", "stripe")
    assert refused.value.__suppress_context__
