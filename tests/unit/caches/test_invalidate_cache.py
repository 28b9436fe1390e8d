import orjson
import pytest

from functions.invalidate_cache.main import handle
from shared.runtime.clients import Clients
from tests.fakes import FakeCache, fake_clients, posted, pushed

KEYS = ("aso_opportunities:demo:list:1", "aso_opportunities:demo:series:1", "aso_opportunities:demo2:list:1")


def filled() -> tuple[Clients, FakeCache]:
    cache = FakeCache()
    for key in KEYS:
        cache.load(key, key.rsplit(":", 2)[0], 60, lambda: "old")
    return fake_clients("demo", "demo2", cache=cache), cache


def known(cache: FakeCache) -> list[str]:
    return [key for key in KEYS if cache.get(key, key.rsplit(":", 2)[0]) is not None]


def test_handles_a_scope():
    clients, cache = filled()
    response = handle(posted({"scope": "aso_opportunities:demo"}, "demo"), clients)
    assert orjson.loads(response.data) == {"scopes": 1, "keys": 0}
    assert known(cache) == [KEYS[2]]


def test_handling_twice_leaves_the_same():
    clients, cache = filled()
    message = {"tenant_id": "demo", "pattern": "aso_opportunities:demo:*"}
    assert handle(pushed(message), clients).status_code == 204
    once = (dict(cache.values), dict(cache.scopes))
    assert handle(pushed(message), clients).status_code == 204
    assert (cache.values, cache.scopes) == once


def test_sets_aside_the_unreadable():
    clients, cache = filled()
    assert handle(pushed({"tenant_id": "demo"}), clients).status_code == 204
    [letter] = [values for _, values in clients.ops.find("dead_letters")]
    assert letter["reason"] == "BadRequest"
    assert known(cache) == list(KEYS)


def test_pattern_forgets_the_covering_scope_and_removes_its_keys():
    clients, cache = filled()
    response = handle(posted({"pattern": "aso_opportunities:demo:list:*"}, "demo"), clients)
    assert orjson.loads(response.data) == {"scopes": 1, "keys": 1}
    assert known(cache) == [KEYS[2]]


def test_operator_may_forget_the_scopes_of_all_tenants():
    clients, cache = filled()
    response = handle(posted({"pattern": "aso_opportunities:*"}), clients)
    assert orjson.loads(response.data) == {"scopes": 2, "keys": 3}
    assert known(cache) == []


def test_cache_that_is_down_is_retried():
    clients, cache = filled()
    cache.down = True
    assert handle(pushed({"tenant_id": "demo", "scope": "aso_opportunities:demo"}), clients).status_code == 503


@pytest.mark.parametrize(
    ("body", "token", "status", "named"),
    [
        ({"scope": "aso_opportunities:demo2"}, "demo", 403, "scope"),
        ({"scope": "aso_opportunities"}, "demo", 403, "scope"),
        ({"pattern": "*"}, "demo", 403, "pattern"),
        ({"pattern": "aso_opportunities:demo*"}, "demo", 403, "pattern"),
        ({"pattern": "aso_opportunities:demo[2]:*"}, "demo", 403, "pattern"),
        ({"pattern": "aso_opportunities:d?mo:*"}, "demo", 403, "pattern"),
        ({"scope": "aso_opportunities:demo", "tenant_id": "demo2"}, "demo", 403, "tenant_id"),
        ({}, "demo", 422, "scope or pattern"),
        ({"scope": 5}, "demo", 422, "scope"),
        ({"scope": "aso_opportunities:*"}, "operator", 422, "scope"),
        ({"pattern": ""}, "operator", 422, "pattern"),
        ({"tenant_id": "nobody", "scope": "x"}, "operator", 404, "tenant_id"),
        ({"scope": "aso_opportunities:demo"}, None, 401, "no token"),
        (b"{" + b" " * (1 << 20) + b"}", "operator", 413, "limit_bytes"),
    ],
)
def test_bad_input_is_answered_with_what_is_wrong_and_forgets_nothing(body, token, status, named):
    clients, cache = filled()
    response = handle(posted(body, token), clients)
    assert response.status_code == status
    assert response.content_type == "application/problem+json"
    assert named in response.get_data(as_text=True)
    assert known(cache) == list(KEYS)
