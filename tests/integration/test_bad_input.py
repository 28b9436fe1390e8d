"""What every HTTP function answers to requests that it must refuse, over real HTTP, with real tokens.

Each refusal is a problem document (RFC 9457) that says what is wrong and names the field where there is one; nothing
is written.
"""

import base64
import json
from collections.abc import Iterator
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

from infra.local.cloud import LocalCloud
from shared.runtime.clients import Clients
from shared.settings import Settings

FUNCTIONS = (
    "sync_source",
    "run_etl",
    "merge_changes",
    "run_detectors",
    "write_opportunities",
    "invalidate_cache",
    "replay_dead_letters",
    "reconcile",
)
TENANT, OTHER = "demo", "other"
PERSON = "ann@demo.test"
OPPORTUNITY = f"t/{TENANT}/opportunities/a"
TIMEOUT_SECONDS = 30
TOO_MUCH = (1 << 20) + 1
CACHED = "aso_opportunities:demo"
HTTP = httpx.Client(timeout=TIMEOUT_SECONDS, trust_env=False)
STRANGER = rsa.generate_private_key(public_exponent=65537, key_size=2048)

VALID: dict[str, dict[str, Any]] = {
    "sync_source": {"tenant_id": TENANT, "source": "ga4"},
    "run_etl": {"tenant_id": TENANT},
    "merge_changes": {"tenant_id": TENANT},
    "run_detectors": {"tenant_id": TENANT, "as_of": "2026-01-01"},
    "write_opportunities": {"tenant_id": TENANT, "run_id": "run-1"},
    "invalidate_cache": {"tenant_id": TENANT, "scope": CACHED},
    "replay_dead_letters": {"tenant_id": TENANT},
    "reconcile": {"tenant_id": TENANT, "collection": f"tenants/{TENANT}/opportunities"},
}
assert set(VALID) == set(FUNCTIONS)


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    with LocalCloud(tmp_path_factory.mktemp("cloud"), only=(*FUNCTIONS, "dashboard")) as cloud:
        cloud.tenant(TENANT)
        yield cloud


@pytest.fixture(scope="module")
def clients(cloud: LocalCloud) -> Iterator[Clients]:
    """The stores, with an opportunity of the tenant and an answer about it in the cache."""
    with pytest.MonkeyPatch.context() as environment:
        for name, value in cloud.env.items():
            environment.setenv(name, value)
        clients = Clients(Settings())  # type: ignore[call-arg]
        clients.documents.put(
            f"tenants/{TENANT}/opportunities/a",
            {"opportunity_id": "a", "tenant_id": TENANT, "status": "new", "title": "A", "as_of": "2026-01-01"},
        )
        settings = clients.documents.get(f"tenants/{TENANT}") or {}
        clients.documents.put(f"tenants/{OTHER}", {**settings, "tenant_id": OTHER, "sources": {}})
        clients.cache.load(f"{CACHED}:list", CACHED, 3600, lambda: ["cached"])
        yield clients


class Stores:
    """Everything that a function could have changed."""

    def __init__(self, cloud: LocalCloud, clients: Clients) -> None:
        self._clients = clients
        self._bucket = storage.Client(
            project=cloud.env["GOOGLE_CLOUD_PROJECT"],
            credentials=AnonymousCredentials(),
            client_options={"api_endpoint": cloud.env["STORAGE_EMULATOR_HOST"]},
        ).bucket(cloud.env["SCOUT_DEAD_LETTER_BUCKET"])
        dataset = f"aso_tenant_{TENANT}"
        tables = [
            f"{dataset}.{table.table_id}"
            for table in clients.warehouse.client.list_tables(dataset)
            if table.table_type == "TABLE"
        ]
        assert tables
        self._count = " UNION ALL ".join(f"SELECT '{name}' AS name, COUNT(*) AS n FROM `{name}`" for name in tables)

    def now(self) -> dict[str, Any]:
        """Documents of both databases, rows of each table, what the cache and the bucket hold."""
        return {
            "documents": dict(documents(self._clients.documents.client.collections())),
            "ops": dict(documents(self._clients.ops.client.collections())),
            "rows": {row["name"]: row["n"] for row in self._clients.warehouse.query(self._count)},
            "cached": self._clients.cache.get(f"{CACHED}:list", CACHED),
            "objects": [blob.name for blob in self._bucket.list_blobs()],
        }


def documents(collections: Any) -> Iterator[tuple[str, Any]]:
    for collection in collections:
        for reference in collection.list_documents():
            yield reference.path, reference.get().to_dict()
            yield from documents(reference.collections())


@pytest.fixture(scope="module")
def stores(cloud: LocalCloud, clients: Clients) -> Stores:
    return Stores(cloud, clients)


@pytest.fixture(scope="module", autouse=True)
def _nothing_is_written(cloud: LocalCloud, stores: Stores) -> Iterator[None]:
    """Whichever requests are sent: afterwards, and once nothing is on its way any more, all is as it was before."""
    beginning = stores.now()
    assert beginning["cached"] == ["cached"]
    assert len(beginning["documents"]) == 3
    yield
    HTTP.close()
    cloud.drain()
    assert stores.now() == beginning
    assert cloud.deaths() == {}, "a function died of what it was sent"


def post(cloud: LocalCloud, function: str, body: Any, token: str | None, path: str = "") -> httpx.Response:
    """POST with a token; bytes are sent as they are."""
    headers = {"content-type": "application/json", **({"authorization": f"Bearer {token}"} if token else {})}
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    return HTTP.post(f"{cloud.url(function).rstrip('/')}/{path}", content=sent, headers=headers)


def refused(answer: httpx.Response, status: int, field: str | None = None) -> dict[str, Any]:
    """The problem document of a refusal, which says so in full."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    assert problem["status"] == status
    assert problem["title"]
    assert problem["detail"]
    named = {entry["field"] for entry in problem.get("errors", [])} | {problem.get("field")}
    if field is not None:
        assert field in named, problem
        assert all(entry["expected"] for entry in problem.get("errors", []))
    return problem


UNBELIEVED = (
    "none", "garbage", "expired", "signed by another key", "altered after signing", "unsigned", "of another issuer",
)  # fmt: skip


@pytest.fixture(scope="module")
def unbelieved(cloud: LocalCloud) -> dict[str, str | None]:
    """Tokens that claim to be an operator's and must not be believed."""
    genuine = cloud.token()
    claims = jwt.decode(genuine, options={"verify_signature": False})
    key = {"kid": jwt.get_unverified_header(genuine)["kid"]}
    head, payload, signature = genuine.split(".")
    altered = base64.urlsafe_b64encode(json.dumps({**claims, "exp": claims["exp"] + 1}).encode()).decode().rstrip("=")
    found = {
        "none": None,
        "garbage": "garbage",
        "expired": cloud.token(lifetime_seconds=-3600),
        "signed by another key": jwt.encode(claims, STRANGER, algorithm="RS256", headers=key),
        "altered after signing": f"{head}.{altered}.{signature}",
        "unsigned": jwt.encode(claims, key="", algorithm="none", headers=key),
        "of another issuer": jwt.encode({**claims, "iss": "https://evil.test"}, STRANGER, algorithm="RS256"),
    }
    assert tuple(found) == UNBELIEVED
    return found


# --- who calls ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", UNBELIEVED)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_caller_whose_token_does_not_verify_is_401(cloud: LocalCloud, unbelieved: Any, function: str, kind: str):
    refused(post(cloud, function, VALID[function], unbelieved[kind]), 401)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_token_of_another_tenant_is_403(cloud: LocalCloud, function: str):
    refused(post(cloud, function, VALID[function], cloud.token("eve@other.test", OTHER)), 403, "tenant_id")


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_token_of_no_tenant_is_403(cloud: LocalCloud, function: str):
    refused(post(cloud, function, VALID[function], cloud.token("nobody@nowhere.test")), 403)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_person_who_pretends_to_be_pubsub_is_refused(cloud: LocalCloud, function: str):
    data = base64.b64encode(json.dumps(VALID[function]).encode()).decode()
    envelope = {"message": {"data": data, "messageId": "1", "attributes": {}}, "subscription": "projects/p/s"}
    refused(post(cloud, function, envelope, cloud.token(PERSON, TENANT)), 422, "Authorization")
    refused(post(cloud, function, envelope, None), 401)


# --- which tenant ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("function", FUNCTIONS)
def test_an_unknown_tenant_is_404(cloud: LocalCloud, function: str):
    body = {**VALID[function], "tenant_id": "nobody"}
    refused(post(cloud, function, body, cloud.token()), 404, "tenant_id")
    refused(post(cloud, function, body, cloud.token("ann@nobody.test", "nobody")), 404, "tenant_id")


@pytest.mark.parametrize(
    "tenant_id",
    [5, True, [TENANT], {"id": TENANT}, "", "Demo", "demo ", "demo\n", "../demo", f"{TENANT}/opportunities/a"],
)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_what_cannot_name_a_tenant_is_422(cloud: LocalCloud, function: str, tenant_id: Any):
    refused(post(cloud, function, {**VALID[function], "tenant_id": tenant_id}, cloud.token()), 422, "tenant_id")


@pytest.mark.parametrize("function", ["run_detectors", "write_opportunities"])
def test_an_operator_who_names_no_tenant_is_told_to(cloud: LocalCloud, function: str):
    body = {name: value for name, value in VALID[function].items() if name != "tenant_id"}
    refused(post(cloud, function, body, cloud.token()), 422, "tenant_id")


# --- what is asked --------------------------------------------------------------------------------------------------

WRONG = {
    "sync_source": [
        ({"source": 5}, "source"),
        ({"source": "no such source"}, "source"),
        ({"source": None}, "source"),
        ({"since": "yesterday"}, "since"),
        ({"since": "2026-13-45"}, "since"),
        ({"since": "2999-01-01"}, "since"),
        ({"since": []}, "since"),
        ({"run_id": "../x"}, "run_id"),
        ({"run_id": "x" * 101}, "run_id"),
        ({"report": -1}, "report"),
        ({"report": "one"}, "report"),
        ({"offset": 1.5}, "offset"),
    ],
    "run_etl": [
        ({"full": "perhaps"}, "full"),
        ({"full": []}, "full"),
        ({"run_id": 5}, "run_id"),
        ({"run_id": ""}, "run_id"),
        ({"source": {}}, "source"),
    ],
    "merge_changes": [({"force": "perhaps"}, "force"), ({"compact": {}}, "compact"), ({"force": None}, "force")],
    "run_detectors": [
        ({"as_of": "today"}, "as_of"),
        ({"as_of": "2999-01-01"}, "as_of"),
        ({"as_of": "2001-01-01"}, "as_of"),
        ({"as_of": {}}, "as_of"),
        ({"run_id": "a b"}, "run_id"),
        ({"explain": 5}, "explain"),
    ],
    "reconcile": [
        ({"collection": ""}, "collection"),
        ({"collection": 5}, "collection"),
        ({"collection": f"tenants/{TENANT}/opportunities/a"}, "collection"),
        ({"database": "No Name"}, "database"),
        ({"repair": "perhaps"}, "repair"),
        ({"settle_seconds": -1}, "settle_seconds"),
        ({"settle_seconds": "soon"}, "settle_seconds"),
        ({"settle_seconds": 3600}, "settle_seconds"),
    ],
    "write_opportunities": [({"run_id": 5}, "run_id"), ({"run_id": None}, "run_id"), ({"run_id": []}, "run_id")],
    "invalidate_cache": [
        ({"scope": ""}, "scope"),
        ({"scope": 5}, "scope"),
        ({"scope": "aso_opportunities:*"}, "scope"),
        ({"scope": "x" * 301}, "scope"),
        ({"pattern": ["*"]}, "pattern"),
        ({"pattern": "a b"}, "pattern"),
    ],
}


@pytest.mark.parametrize(
    ("function", "change", "field"),
    [(function, change, field) for function, changes in WRONG.items() for change, field in changes],
)
def test_a_wrong_field_is_422_and_named(cloud: LocalCloud, function: str, change: dict[str, Any], field: str):
    refused(post(cloud, function, {**VALID[function], **change}, cloud.token()), 422, field)
    refused(post(cloud, function, {**VALID[function], **change}, cloud.token(PERSON, TENANT)), 422, field)


@pytest.mark.parametrize(
    ("function", "missing", "named"),
    [
        ("sync_source", "source", "source"),
        ("write_opportunities", "run_id", "run_id"),
        ("invalidate_cache", "scope", "body"),
    ],
)
def test_a_missing_field_is_422_and_named(cloud: LocalCloud, function: str, missing: str, named: str):
    body = {name: value for name, value in VALID[function].items() if name != missing}
    problem = refused(post(cloud, function, body, cloud.token()), 422, named)
    assert missing in json.dumps(problem)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_field_that_nobody_knows_is_422_and_named(cloud: LocalCloud, function: str):
    refused(post(cloud, function, {**VALID[function], "tenant": TENANT}, cloud.token()), 422, "tenant")


@pytest.mark.parametrize(
    "body",
    [b"{", b"tenant_id=demo", b"\xff\xfe{}", b"[" * 100_000, b"[]", b"null", b"5", b'"demo"', b'{"tenant_id": NaN}'],
    ids=lambda body: repr(body[:20]),
)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_what_is_no_json_object_is_422(cloud: LocalCloud, function: str, body: bytes):
    refused(post(cloud, function, body, cloud.token()), 422, "body")


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_body_above_one_mebibyte_is_413(cloud: LocalCloud, function: str):
    body = json.dumps({**VALID[function], "filling": ""}).encode()
    problem = refused(post(cloud, function, body.replace(b'""', b'"' + b"x" * TOO_MUCH + b'"'), cloud.token()), 413)
    assert problem["limit_bytes"] == 1 << 20
    refused(post(cloud, function, b" " * (TOO_MUCH - len(body)) + body, cloud.token()), 413)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_get_is_refused(cloud: LocalCloud, function: str):
    refused(HTTP.get(cloud.url(function), headers=cloud.auth()), 422, "method")


def test_a_run_that_does_not_exist_is_404_and_named(cloud: LocalCloud):
    refused(post(cloud, "write_opportunities", VALID["write_opportunities"], cloud.token()), 404, "run_id")


def test_a_detector_that_does_not_exist_is_404_and_named(cloud: LocalCloud):
    body = {**VALID["run_detectors"], "explain": "no_such_detector"}
    refused(post(cloud, "run_detectors", body, cloud.token()), 404, "explain")


def test_a_source_that_the_tenant_does_not_have_is_422_and_named(cloud: LocalCloud, clients: Clients):
    refused(post(cloud, "sync_source", {"tenant_id": OTHER, "source": "ga4"}, cloud.token()), 422, "source")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"scope": "aso_opportunities:other"}, "scope"),
        ({"scope": "aso_opportunities"}, "scope"),
        ({"scope": "aso_opportunities:demo2"}, "scope"),
        ({"pattern": "aso_opportunities:*"}, "pattern"),
        ({"pattern": "*"}, "pattern"),
        ({"pattern": "aso_opportunities:dem[o]:*"}, "pattern"),
        ({"pattern": "aso_opportunities:demo*"}, "pattern"),
    ],
)
def test_a_tenant_forgets_only_what_is_its_own(cloud: LocalCloud, body: dict[str, str], field: str):
    refused(post(cloud, "invalidate_cache", body, cloud.token(PERSON, TENANT)), 403, field)


# --- the dashboard --------------------------------------------------------------------------------------------------

ROUTES = [
    ("GET", f"t/{TENANT}/events", None),
    ("GET", f"{OPPORTUNITY}/series", None),
    ("GET", OPPORTUNITY, None),
    ("POST", OPPORTUNITY, {"status": "dismissed"}),
]


def ask(cloud: LocalCloud, method: str, path: str, body: Any, token: str | None) -> httpx.Response:
    if method == "POST":
        return post(cloud, "dashboard", body, token, path)
    headers = {"authorization": f"Bearer {token}"} if token else {}
    return HTTP.get(f"{cloud.url('dashboard').rstrip('/')}/{path}", headers=headers)


@pytest.mark.parametrize("kind", UNBELIEVED)
@pytest.mark.parametrize(("method", "path", "body"), ROUTES)
def test_a_browser_whose_token_does_not_verify_is_401(
    cloud: LocalCloud, unbelieved: Any, method: str, path: str, body: Any, kind: str
):
    refused(ask(cloud, method, path, body, unbelieved[kind]), 401)


@pytest.mark.parametrize("kind", [kind for kind in UNBELIEVED if kind != "none"])
def test_a_token_that_does_not_verify_signs_nobody_in(cloud: LocalCloud, unbelieved: Any, kind: str):
    answer = post(cloud, "dashboard", {"token": unbelieved[kind]}, None, "session")
    refused(answer, 401)
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(("method", "path", "body"), ROUTES)
def test_a_browser_of_another_tenant_is_403(cloud: LocalCloud, method: str, path: str, body: Any):
    refused(ask(cloud, method, path, body, cloud.token("eve@other.test", OTHER)), 403, "tenant_id")


@pytest.mark.parametrize(("method", "path", "body"), ROUTES)
@pytest.mark.parametrize("tenant_id", ["nobody", "No%20Tenant", "demo%2Fopportunities%2Fa"])
def test_a_page_of_an_unknown_tenant_is_404(cloud: LocalCloud, method: str, path: str, body: Any, tenant_id: str):
    refused(ask(cloud, method, path.replace(TENANT, tenant_id, 1), body, cloud.token()), 404)


@pytest.mark.parametrize("opportunity_id", ["b", "x" * 200, "%2E%2E%2Fother", "a%20b"])
def test_an_opportunity_that_does_not_exist_is_404(cloud: LocalCloud, opportunity_id: str):
    path = f"t/{TENANT}/opportunities/{opportunity_id}"
    refused(ask(cloud, "POST", path, {"status": "dismissed"}, cloud.token(PERSON, TENANT)), 404)
    refused(ask(cloud, "GET", f"{path}/series", None, cloud.token(PERSON, TENANT)), 404)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"status": "solved"}, "status"),
        ({"status": "closed"}, "status"),
        ({"status": 5}, "status"),
        ({"note": 5}, "note"),
        ({"note": "x" * 2001}, "note"),
        ({"status": "dismissed", "severity": "low"}, "severity"),
        ({"status": "dismissed", "decided_by": "somebody else"}, "decided_by"),
        ({}, "body"),
        ([], "body"),
        (None, "body"),
        (b"{", "body"),
        (b"[" * 100_000, "body"),
    ],
)
def test_a_decision_that_is_none_is_422_and_named(cloud: LocalCloud, body: Any, field: str):
    refused(post(cloud, "dashboard", body, cloud.token(PERSON, TENANT), OPPORTUNITY), 422, field)


@pytest.mark.parametrize("body", [{}, {"token": 5}, {"token": None}, {"token": "x", "tenant_id": TENANT}, [], b"{"])
def test_a_sign_in_that_is_none_is_422(cloud: LocalCloud, body: Any):
    refused(post(cloud, "dashboard", body, None, "session"), 422)


@pytest.mark.parametrize("path", ["session", OPPORTUNITY])
def test_a_body_above_one_mebibyte_is_413_for_browsers_too(cloud: LocalCloud, path: str):
    refused(post(cloud, "dashboard", {"note": "x" * TOO_MUCH}, cloud.token(PERSON, TENANT), path), 413)


def test_a_form_of_another_site_decides_nothing(cloud: LocalCloud):
    answer = HTTP.post(
        f"{cloud.url('dashboard').rstrip('/')}/{OPPORTUNITY}",
        content=b'{"status": "dismissed"}',
        headers={"content-type": "text/plain", **cloud.auth(PERSON, TENANT)},
    )
    refused(answer, 422, "content-type")


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "nothing", 404), ("DELETE", OPPORTUNITY, 405)])
def test_a_route_that_does_not_exist_is_refused_in_the_same_words(
    cloud: LocalCloud, method: str, path: str, status: int
):
    url = f"{cloud.url('dashboard').rstrip('/')}/{path}"
    refused(HTTP.request(method, url, headers=cloud.auth()), status)
