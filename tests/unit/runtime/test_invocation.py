from collections.abc import Callable
from datetime import timedelta
from typing import Any

import orjson
import pytest
from flask import Request, Response
from pydantic import BaseModel

from shared import trace
from shared.errors import Rejected, Unavailable
from shared.runtime.clients import Clients
from shared.runtime.invocation import LONGEST_RETRY, Call, invocation
from shared.schema.names import TenantId
from tests.fakes import fake_clients, posted, pushed


class Asked(BaseModel):
    """A message for the tests."""

    tenant_id: TenantId
    count: int = 1


class AskedOfMany(BaseModel):
    """A message that need not name a tenant."""

    tenant_id: TenantId | None = None


@pytest.fixture
def clients() -> Clients:
    return fake_clients("demo", "other")


def handled(request: Request, clients: Clients, work: Callable[[Call], None]) -> Response:
    with invocation(request, clients) as call:
        work(call)
    return call.response


def answer(request: Request, clients: Clients, model: type[BaseModel] = Asked) -> Response:
    def work(call: Call) -> None:
        call.outcome = call.message(model)

    return handled(request, clients, work)


def letters(clients: Clients) -> list[dict[str, Any]]:
    return [values for _, values in clients.ops.find("dead_letters")]


def test_person_gets_the_outcome(clients: Clients):
    response = answer(posted({"count": 2}, "demo"), clients)
    assert (response.status_code, orjson.loads(response.data)) == (200, {"tenant_id": "demo", "count": 2})


def test_pubsub_gets_an_acknowledgement(clients: Clients):
    assert answer(pushed({"tenant_id": "demo"}), clients).status_code == 204


def test_accepted_work_is_202(clients: Clients):
    response = handled(posted({}), clients, lambda call: call.accept("run-1"))
    assert response.status_code == 202
    assert "run-1" in response.get_data(as_text=True)


def test_operator_who_names_no_tenant_means_all_where_the_model_allows_it(clients: Clients):
    assert orjson.loads(answer(posted({}), clients, AskedOfMany).data) == {"tenant_id": None}
    assert orjson.loads(answer(posted({}, "demo"), clients, AskedOfMany).data) == {"tenant_id": "demo"}


@pytest.mark.parametrize(
    ("request_", "status", "named"),
    [
        (posted({"tenant_id": "demo"}, None), 401, "no token"),
        (posted({"tenant_id": "demo"}, "forged"), 401, "token"),
        (posted({"tenant_id": "other"}, "demo"), 403, "tenant_id"),
        (posted({"tenant_id": "nobody"}), 404, "tenant_id"),
        (posted({"tenant_id": "No Tenant"}), 422, "tenant_id"),
        (posted({"tenant_id": 5}), 422, "tenant_id"),
        (posted({}), 422, "tenant_id"),
        (posted({"tenant_id": "demo", "count": "many"}), 422, "count"),
        (posted(b"{"), 422, "body"),
        (posted({"x": "x" * (1 << 20)}), 413, "limit_bytes"),
        (posted({"tenant_id": "demo"}, method="PUT"), 422, "method"),
        (pushed({"tenant_id": "demo"}, "demo"), 422, "Authorization"),
        (pushed({"tenant_id": "demo"}, None), 401, "no token"),
    ],
    ids=str,
)
def test_bad_input_is_a_problem_document_that_names_what_is_wrong(request_, status, named, clients: Clients):
    response = answer(request_, clients)
    problem = orjson.loads(response.data)
    assert (response.status_code, response.content_type) == (status, "application/problem+json")
    assert problem["status"] == status
    assert {"type", "title", "detail"} <= problem.keys()
    assert named in response.get_data(as_text=True)
    assert letters(clients) == []


def test_message_that_can_never_work_is_set_aside_and_acknowledged(clients: Clients):
    request = pushed({"tenant_id": "demo", "count": "many"}, message_id="7")
    assert answer(request, clients).status_code == 204
    [letter] = letters(clients)
    assert (letter["reason"], letter["event_id"], letter["tenant_id"]) == ("BadRequest", "7", "demo")
    kept = clients.dead_letter_objects.get(letter["object_name"])
    assert kept is not None
    assert orjson.loads(kept)["body"].encode("latin-1") == request.get_data()


def test_message_that_is_set_aside_twice_is_kept_once(clients: Clients):
    for _ in range(2):
        answer(pushed({"tenant_id": "nobody"}, message_id="7"), clients)
    assert len(letters(clients)) == 1


@pytest.mark.parametrize("data", [b"{", b"[]", b"\xff\xfe"])
def test_message_that_cannot_be_read_is_set_aside_and_acknowledged(data: bytes, clients: Clients):
    assert answer(pushed(data), clients).status_code == 204
    assert [letter["reason"] for letter in letters(clients)] == ["BadRequest"]


def test_unavailable_is_503_so_that_the_trigger_retries(clients: Clients):
    def work(call: Call) -> None:
        raise Unavailable("the store is away")

    for request in (posted({}), pushed({})):
        response = handled(request, clients, work)
        assert (response.status_code, response.headers["Retry-After"]) == (503, "5")
    assert letters(clients) == []


def test_rejected_by_a_service_is_an_answer_for_a_person_and_set_aside_for_pubsub(clients: Clients):
    def work(call: Call) -> None:
        call.message(Asked)
        raise Rejected("this can never work", field="x")

    assert handled(posted({"tenant_id": "demo"}), clients, work).status_code == 422
    assert letters(clients) == []
    assert handled(pushed({"tenant_id": "demo"}), clients, work).status_code == 204
    assert len(letters(clients)) == 1


def test_bug_is_raised(clients: Clients, capfd: pytest.CaptureFixture[str]):
    def work(call: Call) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        handled(posted({}), clients, work)
    assert orjson.loads(capfd.readouterr().out)["severity"] == "ERROR"


def test_one_line_is_logged_without_the_payload(clients: Clients, capfd: pytest.CaptureFixture[str]):
    def work(call: Call) -> None:
        call.message(Asked)
        call.outcome = {"rows": 3}

    handled(posted({"tenant_id": "demo", "secret": "p@ssw0rd"}), clients, work)
    [line] = capfd.readouterr().out.splitlines()
    logged = orjson.loads(line)
    assert (logged["result"], logged["tenant_id"], logged["outcome"]) == ("ok", "demo", {"rows": 3})
    assert "p@ssw0rd" not in line


def test_trace_of_the_message_goes_on(clients: Clients):
    seen = []
    request = pushed({"tenant_id": "demo"})
    body = orjson.loads(request.get_data())
    body["message"]["attributes"] = {"correlation_id": "click-1", "traceparent": f"00-{'a' * 32}-{'b' * 16}-01"}
    handled(posted(body), clients, lambda call: seen.append((call.message(Asked), trace.current())))
    [(_, found)] = seen
    assert (found.correlation_id, found.trace_id) == ("click-1", "a" * 32)


YOUNG, OLD = LONGEST_RETRY - timedelta(minutes=5), LONGEST_RETRY + timedelta(minutes=5)
DOWN = Unavailable("BigQuery is not available", retry_after_seconds=12.3)


def fails(error: Exception) -> Callable[[Call], None]:
    def work(call: Call) -> None:
        call.message(Asked)
        raise error

    return work


def test_message_that_is_unavailable_is_tried_again_for_days(clients: Clients):
    response = handled(pushed({"tenant_id": "demo"}, age=YOUNG), clients, fails(DOWN))
    assert (response.status_code, response.headers["Retry-After"]) == (503, "13")
    assert letters(clients) == []


def test_message_that_was_tried_for_days_is_set_aside_with_its_cause(clients: Clients):
    assert handled(pushed({"tenant_id": "demo"}, age=OLD), clients, fails(DOWN)).status_code == 204
    [letter] = letters(clients)
    assert (letter["reason"], letter["tenant_id"]) == ("RetriesExhausted", "demo")
    assert letter["fields"] == {"cause": "Unavailable", "said": "BigQuery is not available"}


def test_message_whose_bug_nobody_mended_for_days_is_set_aside(clients: Clients):
    with pytest.raises(KeyError):
        handled(pushed({"tenant_id": "demo"}, age=YOUNG), clients, fails(KeyError("secret")))
    assert handled(pushed({"tenant_id": "demo"}, age=OLD), clients, fails(KeyError("secret"))).status_code == 204
    [letter] = letters(clients)
    assert letter["fields"] == {"cause": "KeyError"}


def test_what_only_looks_like_an_old_message_is_not_set_aside(clients: Clients):
    def work(call: Call) -> None:
        assert call.envelope.pushed
        raise DOWN

    assert handled(pushed({"tenant_id": "demo"}, None, age=OLD), clients, work).status_code == 503
    assert letters(clients) == []


def test_old_message_that_cannot_be_set_aside_is_tried_again(clients: Clients):
    clients.ops.down = True  # type: ignore[attr-defined]
    with pytest.raises(Unavailable):
        handled(pushed({"tenant_id": "demo"}, age=OLD), clients, fails(DOWN))
    assert clients.ops.documents == {}  # type: ignore[attr-defined]


def test_replayed_message_that_fails_again_goes_back_to_its_letter(clients: Clients):
    answer(pushed({}, message_id="1"), clients)
    [letter] = letters(clients)
    replay = pushed({}, message_id="2", dead_letter_id=letter["dead_letter_id"])
    handled(replay, clients, fails(Rejected("still no good")))
    [again] = letters(clients)
    assert (again["dead_letter_id"], again["attempts"]) == (letter["dead_letter_id"], 1)
