"""The function that sweeps: for operators, by Scheduler."""

from typing import Any

import orjson

from functions.sweep_erasures.main import handle
from shared.erasure.service import Erasures
from shared.erasure.subject import document
from shared.runtime.clients import Clients
from tests.fakes import fake_clients, posted, pushed
from tests.unit.erasure.test_service import Lab


def clients_of(lab: Lab, **more: Any) -> tuple[Clients, Erasures]:
    return fake_clients("demo", erasures=lab.erasures, ops=lab.ops, **more), lab.erasures


def erased(lab: Lab) -> None:
    lab.erase(document("tenants/demo/contacts/x"))
    lab.rows.held = 2


def test_handles():
    lab = Lab()
    erased(lab)
    clients, _ = clients_of(lab)
    response = handle(posted({}), clients)
    assert (response.status_code, orjson.loads(response.data)) == (200, {"swept": 1, "removed": 2, "final": 0})


def test_handling_twice_leaves_the_same():
    lab = Lab()
    erased(lab)
    clients, erasures = clients_of(lab)
    handle(posted({}), clients)
    stores = erasures.latest()[0].stores
    assert orjson.loads(handle(posted({}), clients).data)["removed"] == 0
    assert erasures.latest()[0].stores == stores


def test_sets_aside_the_unreadable():
    lab = Lab()
    erased(lab)
    clients, _ = clients_of(lab)
    assert handle(pushed({"what": "?"}), clients).status_code == 204
    assert [values["reason"] for _, values in lab.ops.find("dead_letters")] == ["BadRequest"]
    assert lab.rows.held == 2


def test_a_tenants_token_is_refused():
    lab = Lab()
    erased(lab)
    clients, _ = clients_of(lab)
    assert handle(posted({}, "demo"), clients).status_code == 403
    assert lab.rows.held == 2


def test_a_store_that_is_down_is_asked_again():
    lab = Lab()
    lab.erase(document("tenants/demo/contacts/x"))
    lab.source.held, lab.source.down = 1, True
    clients, _ = clients_of(lab)
    assert handle(posted({}), clients).status_code == 503
