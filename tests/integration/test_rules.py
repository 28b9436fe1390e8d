"""The generated security rules on the Firestore emulator, asked over REST with tokens of two tenants.

The emulator believes unsigned tokens; that forged and expired ones are refused is tested against the functions.
"""

import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest

from infra.local import emulators
from infra.local.ports import HOST, Ports
from shared.opportunities.records import NOTE_CHARACTERS
from shared.schema.registry import records

ROOT = Path(__file__).resolve().parents[2]
GENERATED = ROOT / "infra" / "generated"
START_SECONDS = 60
OWNER = "owner"  # the emulator's word for "no rules"
TENANT_RECORDS = [record for record in records() if record.collection and "{tenant_id}" in record.collection.path]
OPS_RECORDS = [record for record in records() if record.collection and record.collection.database == "ops"]
STORED = {
    "tenant_id": "demo", "status": "new", "note": "", "severity": "high", "detector_id": "page_cvr_drop",
    "decided_by": "", "title": "Title",
}  # fmt: skip


class Firestore:
    """The REST side of the emulator. Each database of a project has rules of its own."""

    def __init__(self, port: int) -> None:
        self._http = httpx.Client(base_url=f"http://{HOST}:{port}", timeout=30, trust_env=False)

    def set_rules(self, project: str, database: str, file: str) -> None:
        rules = {"rules": {"files": [{"name": file, "content": (GENERATED / file).read_text()}]}}
        answer = self._http.put(f"/emulator/v1/projects/{project}/databases/{database}:securityRules", json=rules)
        assert answer.status_code == 200, answer.text

    def close(self) -> None:
        self._http.close()

    def request(self, method: str, project: str, path: str, token: str | None, **options: Any) -> httpx.Response:
        database = options.pop("database", "(default)")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        url = f"/v1/projects/{project}/databases/{database}/documents/{path}"
        return self._http.request(method, url, headers=headers, **options)


def token(tenant_id: str | None, **claims: Any) -> str:
    """What a signed-in person's browser sends, without the signature that the emulator does not look at."""
    tenant = {"tenant_id": tenant_id} if tenant_id else {}
    return jwt.encode({"sub": "ann", "user_id": "ann", **tenant, **claims}, key="", algorithm="none")


@pytest.fixture(scope="module")
def firestore(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Firestore]:
    ports = Ports(usual=False)
    port, nobody = ports.take(0), ports.take(0)
    ports.release()
    log = tmp_path_factory.mktemp("firestore") / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(emulators.find().firestore_command(port, nobody), stdout=output, stderr=output)
    store = Firestore(port)
    try:
        until = time.monotonic() + START_SECONDS
        while True:
            try:
                store.set_rules("scout", "(default)", "firestore.rules")
                break
            except httpx.TransportError:
                assert process.poll() is None, log.read_text()[-2000:]
                assert time.monotonic() < until, log.read_text()[-2000:]
                time.sleep(0.05)
        store.set_rules("scout", "ops", "firestore.ops.rules")
        store.set_rules("careless", "ops", "firestore.rules")
        yield store
    finally:
        store.close()
        process.kill()
        process.wait()


def fields(values: dict[str, Any]) -> dict[str, Any]:
    """Values as REST spells them."""
    kinds = {str: "stringValue", bool: "booleanValue", type(None): "nullValue"}
    typed: dict[str, Any] = {}
    for name, value in values.items():
        typed[name] = {"mapValue": fields(value)} if isinstance(value, dict) else {kinds[type(value)]: value}
    return {"fields": typed}


@pytest.fixture
def opportunity(firestore: Firestore) -> str:
    """The path of a stored opportunity of tenant `demo`."""
    return stored(firestore, "tenants/demo/opportunities", STORED)


def stored(firestore: Firestore, collection: str, values: dict[str, Any]) -> str:
    path = f"{collection}/{uuid.uuid4().hex}"
    answer = firestore.request("PATCH", "scout", path, OWNER, json=fields(values))
    assert answer.status_code == 200, answer.text
    return path


def change(firestore: Firestore, path: str, by: str | None, values: dict[str, Any]) -> int:
    """Change some fields of a document, as a browser does; the status."""
    mask = [("updateMask.fieldPaths", name) for name in values]
    return firestore.request("PATCH", "scout", path, by, params=mask, json=fields(values)).status_code


def held(firestore: Firestore, path: str) -> dict[str, Any]:
    answer = firestore.request("GET", "scout", path, OWNER)
    assert answer.status_code == 200, answer.text
    return {name: next(iter(value.values())) for name, value in answer.json()["fields"].items()}


@pytest.mark.parametrize("record", TENANT_RECORDS, ids=lambda record: record.__name__)
def test_only_members_of_the_tenant_read_its_documents(firestore: Firestore, record: Any):
    path = stored(firestore, record.collection.at(tenant_id="demo"), {"tenant_id": "demo"})
    assert firestore.request("GET", "scout", path, token("demo")).status_code == 200
    for other in (token("other"), token(None), None):
        assert firestore.request("GET", "scout", path, other).status_code == 403
        assert firestore.request("GET", "scout", path.rpartition("/")[0], other).status_code == 403
    assert firestore.request("GET", "scout", path.rpartition("/")[0], token("demo")).status_code == 200


def test_members_read_their_own_tenant_and_never_the_list_of_tenants(firestore: Firestore):
    for tenant_id in ("demo", "other"):
        firestore.request("PATCH", "scout", f"tenants/{tenant_id}", OWNER, json=fields({"tenant_id": tenant_id}))
    assert firestore.request("GET", "scout", "tenants/demo", token("demo")).status_code == 200
    assert firestore.request("GET", "scout", "tenants/other", token("demo")).status_code == 403
    assert firestore.request("GET", "scout", "tenants", token("demo")).status_code == 403


@pytest.mark.parametrize("status", ["new", "in_progress", "completed", "dismissed", "snoozed"])
def test_member_sets_a_status_and_a_note(firestore: Firestore, opportunity: str, status: str):
    assert change(firestore, opportunity, token("demo"), {"status": status, "note": "It is the season"}) == 200
    assert held(firestore, opportunity) == {**STORED, "status": status, "note": "It is the season"}


def test_member_removes_a_note_and_notes_what_the_system_closed(firestore: Firestore):
    """`closed` is not theirs to set, and need not be taken back to write beside it."""
    path = stored(firestore, "tenants/demo/opportunities", {**STORED, "status": "closed"})
    for note in ("It came back by itself", None):
        assert change(firestore, path, token("demo"), {"note": note}) == 200
        assert held(firestore, path) == {**STORED, "status": "closed", "note": note}


def test_member_writes_a_note_as_long_as_it_may_be(firestore: Firestore, opportunity: str):
    assert change(firestore, opportunity, token("demo"), {"note": "\u00e4" * NOTE_CHARACTERS}) == 200


def test_member_snoozes_until_a_day_and_takes_it_back(firestore: Firestore, opportunity: str):
    for day in ("2026-03-31", None):
        snooze = {"status": "snoozed", "snoozed_until": day}
        assert change(firestore, opportunity, token("demo"), snooze) == 200
        assert held(firestore, opportunity) == {**STORED, **snooze}


@pytest.mark.parametrize("by", [token("other"), token(None), None], ids=["other tenant", "no tenant", "no token"])
def test_nobody_else_changes_an_opportunity(firestore: Firestore, opportunity: str, by: str | None):
    assert change(firestore, opportunity, by, {"status": "dismissed"}) == 403
    assert held(firestore, opportunity) == STORED


@pytest.mark.parametrize(
    "values",
    [
        {"status": "closed"},
        {"status": "solved"},
        {"status": None},
        {"status": True},
        {"snoozed_until": "tomorrow"},
        {"snoozed_until": "2026-13-01"},
        {"snoozed_until": True},
        {"decided_change": True},
        {"note": True},
        {"note": {"a": "text"}},
        {"note": {}},
        {"note": "x" * (NOTE_CHARACTERS + 1)},
        {"severity": "low"},
        {"status": "dismissed", "severity": "low"},
        {"tenant_id": "other"},
        {"decided_by": "somebody else"},
        {"a_field_of_their_own": "x"},
    ],
    ids=lambda values: str(values)[:40],
)
def test_members_change_nothing_but_status_note_and_snooze_and_only_to_allowed_values(
    firestore: Firestore, opportunity: str, values: dict[str, Any]
):
    assert change(firestore, opportunity, token("demo"), values) == 403
    assert held(firestore, opportunity) == STORED


def test_members_neither_replace_nor_delete_nor_create_an_opportunity(firestore: Firestore, opportunity: str):
    member = token("demo")
    whole = firestore.request("PATCH", "scout", opportunity, member, json=fields({"status": "dismissed"}))
    assert whole.status_code == 403, "without a mask it replaces the document"
    assert firestore.request("DELETE", "scout", opportunity, member).status_code == 403
    created = firestore.request("POST", "scout", "tenants/demo/opportunities", member, json=fields(STORED))
    assert created.status_code == 403
    assert held(firestore, opportunity) == STORED


@pytest.mark.parametrize(
    "record",
    [record for record in TENANT_RECORDS if record.collection and record.collection.name != "opportunities"],
    ids=lambda record: record.__name__,
)
def test_raw_documents_are_written_by_nobody(firestore: Firestore, record: Any):
    collection = record.collection.at(tenant_id="demo")
    path = stored(firestore, collection, {"sessions": "5"})
    assert change(firestore, path, token("demo"), {"sessions": "6"}) == 403
    assert firestore.request("DELETE", "scout", path, token("demo")).status_code == 403
    assert firestore.request("POST", "scout", collection, token("demo"), json=fields({})).status_code == 403
    assert held(firestore, path) == {"sessions": "5"}


def test_members_write_no_settings_of_their_tenant(firestore: Firestore):
    firestore.request("PATCH", "scout", "tenants/demo", OWNER, json=fields({"tenant_id": "demo", "name": "Shop"}))
    assert change(firestore, "tenants/demo", token("demo"), {"name": "Mine"}) == 403
    assert held(firestore, "tenants/demo")["name"] == "Shop"


def test_what_no_record_declares_is_closed(firestore: Firestore):
    for collection in ("anything", "tenants/demo/anything", "tenants/demo/opportunities/x/anything"):
        path = stored(firestore, collection, {"tenant_id": "demo"})
        assert firestore.request("GET", "scout", path, token("demo")).status_code == 403
        assert change(firestore, path, token("demo"), {"status": "new"}) == 403


@pytest.mark.parametrize("record", OPS_RECORDS, ids=lambda record: record.__name__)
@pytest.mark.parametrize("project", ["scout", "careless"])
def test_scouts_own_state_is_closed(firestore: Firestore, record: Any, project: str):
    """Under the rules of its own database, and under the tenants' where somebody deployed these to both."""
    path = f"{record.collection.path}/{uuid.uuid4().hex}"
    made = firestore.request("PATCH", project, path, OWNER, database="ops", json=fields({"tenant_id": "demo"}))
    assert made.status_code == 200, made.text
    for by in (token("demo"), None):
        assert firestore.request("GET", project, path, by, database="ops").status_code == 403
        written = firestore.request("PATCH", project, path, by, database="ops", json=fields({"tenant_id": "demo"}))
        assert written.status_code == 403


def test_tenants_paths_are_closed_in_the_ops_database(firestore: Firestore):
    path = "tenants/demo/opportunities/x"
    made = firestore.request("PATCH", "scout", path, OWNER, database="ops", json=fields(STORED))
    assert made.status_code == 200, made.text
    assert firestore.request("GET", "scout", path, token("demo"), database="ops").status_code == 403
