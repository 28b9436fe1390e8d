"""The router: what it acknowledges it delivers, whatever happens to the function or to itself."""

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import jwt
import orjson
import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestClient, TestServer

from infra.functions import Schedule
from infra.local import delivery
from infra.local.issuer import TokenIssuer
from infra.local.journal import Journal
from infra.local.router import RoutedFunction, RouterConfig, application

TRIGGER = "/functions/projects/p/triggers/stream-it"
HEADERS = {"ce-id": "1", "ce-type": "t", "ce-document": "a/b", "content-type": "application/protobuf", "x-other": "no"}
EVENT = b"\n\x05event"
ISSUER = "http://127.0.0.1:1/issuer"


class Function:
    """A function that notes what it is sent and answers what `answer` says."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.headers: list[dict[str, str]] = []
        self.answer: Callable[[int], int | Awaitable[int]] = lambda attempt: 200
        self.in_flight = self.peak = 0

    async def handle(self, request: web.Request) -> web.Response:
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        self.bodies.append(await request.read())
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        status = self.answer(len(self.bodies))
        status = status if isinstance(status, int) else await status
        self.in_flight -= 1
        return web.Response(status=status, text="as told")


@pytest.fixture
async def function() -> AsyncIterator[tuple[Function, str]]:
    function = Function()
    app = web.Application()
    app.router.add_post("/", function.handle)
    async with TestServer(app) as server:
        yield function, str(server.make_url("/"))


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(delivery, "FIRST_BACKOFF_SECONDS", 0.001)
    monkeypatch.setattr(delivery, "LONGEST_BACKOFF_SECONDS", 0.01)


@pytest.fixture
def config(tmp_path: Path, function: tuple[Function, str]):
    TokenIssuer.create(tmp_path / "key.pem", ISSUER)

    def config(retry: bool = True, concurrency: int = 10, url: str = "") -> RouterConfig:
        routed = RoutedFunction(
            name="stream_it",
            triggers=("stream-it", "stream-it--shop"),
            url=url or function[1],
            concurrency=concurrency,
            retry=retry,
            timeout_seconds=5,
            schedules=(Schedule(name="every-minute", cron="* * * * *", body={"a": 1}),),
        )
        return RouterConfig(
            port=0,
            journal=tmp_path / "journal",
            issuer_key=tmp_path / "key.pem",
            issuer_url=ISSUER,
            scheduler=False,
            functions=(routed,),
        )

    return config


async def settled(client: TestClient) -> dict:
    while True:
        status = await (await client.get("/status")).json()
        if status["idle"]:
            return status
        await asyncio.sleep(0.005)


def claims(function: Function, tmp_path: Path) -> dict:
    issuer = TokenIssuer.load(tmp_path / "key.pem", ISSUER)
    token = function.headers[-1]["authorization"].removeprefix("Bearer ")
    key = jwt.PyJWK(issuer.jwks()["keys"][0]).key
    return jwt.decode(token, key, algorithms=["RS256"], audience="scout", issuer=ISSUER)


async def test_an_event_is_delivered_raw_with_its_own_headers_only(config, function):
    async with TestClient(TestServer(application(config()))) as client:
        assert (await client.post(TRIGGER, data=base64.b64encode(EVENT), headers=HEADERS)).status == 200
        status = await settled(client)
    assert function[0].bodies == [EVENT]
    assert function[0].headers[0]["ce-document"] == "a/b"
    assert function[0].headers[0]["content-type"] == "application/protobuf"
    assert "x-other" not in function[0].headers[0]
    assert status["triggers"]["stream-it"]["delivered"] == 1


async def test_events_of_every_trigger_of_a_function_share_its_one_delivery(config, function):
    finish = asyncio.Event()

    async def slow() -> int:
        await finish.wait()
        return 200

    function[0].answer = lambda attempt: slow()
    async with TestClient(TestServer(application(config(concurrency=2)))) as client:
        for trigger in (TRIGGER, f"{TRIGGER}--shop") * 2:
            assert (await client.post(trigger, data=EVENT, headers=HEADERS)).status == 200
        while function[0].in_flight < 2:
            await asyncio.sleep(0.005)
        finish.set()
        status = await settled(client)
    assert function[0].peak == 2, "no more than the function takes, whatever the number of its triggers"
    assert status["triggers"]["stream-it"]["delivered"] == 4


async def test_a_raw_body_is_taken_as_it_is(config, function):
    async with TestClient(TestServer(application(config()))) as client:
        await client.post(TRIGGER, data=EVENT, headers=HEADERS)
        await settled(client)
    assert function[0].bodies == [EVENT]


async def test_the_journal_holds_each_event_and_its_end(config, tmp_path):
    async with TestClient(TestServer(application(config()))) as client:
        await client.post(TRIGGER, data=base64.b64encode(EVENT), headers=HEADERS)
        await settled(client)
    event = orjson.loads((tmp_path / "journal" / "firestore.jsonl").read_bytes())
    assert sorted(event) == ["body_base64", "headers", "id", "received_at", "trigger"]
    assert base64.b64decode(event["body_base64"]) == EVENT
    end = orjson.loads((tmp_path / "journal" / "firestore-settled.jsonl").read_bytes())
    assert (end["id"], end["outcome"]) == (event["id"], "delivered")


async def test_an_event_that_fails_is_delivered_until_it_succeeds(config, function):
    function[0].answer = lambda attempt: 200 if attempt == 5 else 500 if attempt % 2 else 422
    async with TestClient(TestServer(application(config()))) as client:
        await client.post(TRIGGER, data=EVENT, headers=HEADERS)
        status = await settled(client)
    assert len(function[0].bodies) == 5
    assert status["triggers"]["stream-it"]["failed_attempts"] == 4
    assert status["triggers"]["stream-it"]["retrying"] == 0


async def test_a_trigger_without_retry_is_tried_once(config, function):
    function[0].answer = lambda attempt: 500
    async with TestClient(TestServer(application(config(retry=False)))) as client:
        await client.post(TRIGGER, data=EVENT, headers=HEADERS)
        status = await settled(client)
    assert len(function[0].bodies) == 1
    assert status["triggers"]["stream-it"]["dropped"] == 1


async def test_the_emulator_is_answered_while_the_function_still_works(config, function):
    finish = asyncio.Event()

    async def slow() -> int:
        await finish.wait()
        return 200

    function[0].answer = lambda attempt: slow()
    async with TestClient(TestServer(application(config()))) as client:
        for _ in range(3):
            assert (await client.post(TRIGGER, data=EVENT, headers=HEADERS)).status == 200
        while function[0].in_flight < 3:
            await asyncio.sleep(0.005)
        status = await (await client.get("/status")).json()
        assert status["triggers"]["stream-it"]["in_flight"] == 3
        assert not status["idle"]
        finish.set()
        await settled(client)


async def test_no_more_requests_are_in_flight_than_the_function_takes(config, function):
    async def briefly() -> int:
        await asyncio.sleep(0.01)
        return 200

    function[0].answer = lambda attempt: briefly()
    async with TestClient(TestServer(application(config(concurrency=4)))) as client:
        for _ in range(20):
            await client.post(TRIGGER, data=EVENT, headers=HEADERS)
        await settled(client)
    assert function[0].peak == 4
    assert len(function[0].bodies) == 20


async def test_a_failing_event_does_not_hold_up_the_others(config, function, monkeypatch):
    monkeypatch.setattr(delivery, "FIRST_BACKOFF_SECONDS", 1000)
    monkeypatch.setattr(delivery, "LONGEST_BACKOFF_SECONDS", 1000)
    function[0].answer = lambda attempt: 503 if attempt == 1 else 200
    async with TestClient(TestServer(application(config(concurrency=1)))) as client:
        for _ in range(5):
            await client.post(TRIGGER, data=EVENT, headers=HEADERS)
        while len(function[0].bodies) < 5:
            await asyncio.sleep(0.005)
        status = await (await client.get("/status")).json()
    assert status["triggers"]["stream-it"]["delivered"] == 4
    assert status["triggers"]["stream-it"]["retrying"] == 1


async def test_a_new_router_delivers_what_the_last_one_could_not(config, function):
    nobody = "http://127.0.0.1:9/"
    async with TestClient(TestServer(application(config(url=nobody)))) as client:
        for _ in range(3):
            assert (await client.post(TRIGGER, data=EVENT, headers=HEADERS)).status == 200
    assert function[0].bodies == []
    async with TestClient(TestServer(application(config()))) as client:
        status = await settled(client)
    assert function[0].bodies == [EVENT] * 3
    assert status["triggers"]["stream-it"]["delivered"] == 3
    async with TestClient(TestServer(application(config()))) as client:
        await settled(client)
    assert len(function[0].bodies) == 3, "what is settled is not delivered again"


def test_a_line_that_a_kill_cut_short_harms_no_other(tmp_path):
    journal = Journal(tmp_path)
    first = journal.receive("t", {}, EVENT)
    journal.close()
    with (tmp_path / "firestore.jsonl").open("ab") as file:
        file.write(b'{"id":"cut')
    journal = Journal(tmp_path)
    second = journal.receive("t", {}, EVENT)
    assert [event.id for event in journal.unsettled()] == [first.id, second.id]


async def test_an_unknown_trigger_is_404_and_counted(config):
    async with TestClient(TestServer(application(config()))) as client:
        assert (await client.post("/functions/projects/p/triggers/nobody", data=EVENT)).status == 404
        assert (await (await client.get("/status")).json())["unroutable"] == 1


async def test_a_push_gets_a_token_and_its_answer_back(config, function, tmp_path):
    function[0].answer = lambda attempt: 503 if attempt == 1 else 204
    push = orjson.dumps({"subscription": "s", "message": {"messageId": "1", "data": ""}})
    async with TestClient(TestServer(application(config()))) as client:
        assert (await client.post("/push/stream_it", data=push)).status == 503
        status = await (await client.get("/status")).json()
        assert not status["idle"], "Pub/Sub will push it again"
        assert status["pushes"]["stream_it"]["retrying"] == 1
        assert (await client.post("/push/stream_it", data=push)).status == 204
        assert (await (await client.get("/status")).json())["idle"]
        assert (await client.post("/push/nobody", data=push)).status == 404
    assert function[0].bodies == [push, push]
    assert claims(function[0], tmp_path)["email"] == "pubsub@scout.local"


async def test_a_schedule_posts_its_body_as_the_scheduler(config, function, tmp_path):
    async with TestClient(TestServer(application(config()))) as client:
        answer = await client.post("/schedules/stream_it/every-minute")
        assert await answer.json() == {"status": 200}
        assert (await client.post("/schedules/stream_it/never")).status == 404
    assert function[0].bodies == [b'{"a":1}']
    assert claims(function[0], tmp_path)["email"] == "scheduler@scout.local"


async def test_the_issuer_gives_tokens_that_its_published_key_verifies(config):
    async with TestClient(TestServer(application(config()))) as client:
        asked = {"email": "ann@example.org", "tenant_id": "demo"}
        token = (await (await client.post("/issuer/token", json=asked)).json())["token"]
        keys = (await (await client.get("/issuer/jwks.json")).json())["keys"]
        assert (await client.post("/issuer/token", json={"tenant_id": "demo"})).status == 422
    found = jwt.decode(token, jwt.PyJWK(keys[0]).key, algorithms=["RS256"], audience="scout", issuer=ISSUER)
    assert (found["email"], found["tenant_id"]) == ("ann@example.org", "demo")


async def test_a_function_that_cannot_be_reached_counts_as_unavailable():
    async with ClientSession() as session:
        status, _ = await delivery.Poster(session)("http://127.0.0.1:9/", {}, b"", 5)
    assert status == 503
