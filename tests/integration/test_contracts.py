"""One suite per port, run against the fake and against the real adapter on the real emulator: it keeps fakes honest."""

import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from infra.local.cloud import LocalCloud
from shared.caches.messages import CacheInvalidationRequested
from shared.content.keywords import DocumentKeywords, Observation
from shared.content.rankings import SearchRankings
from shared.content.records import Keyword
from shared.errors import NotFound, Rejected, Unavailable
from shared.ops.records import Cursor
from shared.schema.ports import Cache, Documents, Objects, Publisher, Values
from shared.sources.source import Pull
from shared.tenants.records import SourceSettings
from tests.fakes import FakeCache, FakeDocuments, FakeObjects, FakePublisher

WAIT_SECONDS = 20
BOTH = pytest.mark.parametrize("kind", ["fake", "real"])


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    """The stores alone: a local cloud without functions."""
    nothing = tmp_path_factory.mktemp("functions")
    state = tmp_path_factory.mktemp("cloud")
    with pytest.MonkeyPatch.context() as environment, LocalCloud(state, nothing) as cloud:
        for name, value in cloud.env.items():
            environment.setenv(name, value)
        yield cloud


@pytest.fixture
def folder() -> str:
    """A collection of its own for each test."""
    return f"things_{uuid.uuid4().hex}"


# --- Documents -------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["fake", "real"])
def documents(request: pytest.FixtureRequest) -> Any:
    if request.param == "fake":
        return FakeDocuments()
    from shared.adapters.firestore import FirestoreDocuments

    cloud = request.getfixturevalue("cloud")
    return FirestoreDocuments.connect(cloud.env["GOOGLE_CLOUD_PROJECT"], "(default)")


def test_only_what_differs_is_written_and_the_rest_is_told(documents: Documents, folder: str):
    at = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
    same = {"n": 1, "at": at, "map": {"a": [1, None]}, "run": "one"}
    documents.put_many((f"{folder}/{name}", same) for name in ("same", "number", "nested", "more"))
    wanted = {
        "same": {**same, "run": "two"},
        "number": {**same, "n": 1.0},
        "nested": {**same, "map": {"a": [1, False]}},
        "more": {**same, "another": None},
        "new": same,
    }
    kept = documents.put_changed([(f"{folder}/{name}", fields) for name, fields in wanted.items()], {"run"})
    assert kept == {f"{folder}/same": same}
    for name in wanted.keys() - {"same"}:
        assert documents.get(f"{folder}/{name}") == wanted[name]
    assert documents.get(f"{folder}/same") == same
    assert documents.put_changed([], {"run"}) == {}


def test_what_is_newer_stays(documents: Documents, folder: str):
    early, late = datetime(2026, 3, 1, 12, tzinfo=UTC), datetime(2026, 3, 1, 12, 0, 0, 1, tzinfo=UTC)
    held = {"newer": late, "older": early, "same": early, "unstamped": None}
    documents.put_many((f"{folder}/{name}", {"n": 1, "at": at}) for name, at in held.items())
    wanted = {name: {"n": 1 if name == "same" else 2, "at": at} for name, at in dict.fromkeys(held, early).items()}
    wanted |= {"new": {"n": 2, "at": early}, "same": {"n": 1, "at": late}, "older": {"n": 2, "at": late}}
    kept = documents.put_newer([(f"{folder}/{name}", fields) for name, fields in wanted.items()], "at", {"at"})
    assert kept == {f"{folder}/newer": {"n": 1, "at": late}, f"{folder}/same": {"n": 1, "at": early}}
    found = {name: documents.get(f"{folder}/{name}") for name in ("older", "unstamped", "new")}
    assert found == {name: wanted[name] for name in found}


@pytest.mark.parametrize(
    "odd",
    [{"map": {"__src__": 1}}, {"map": {"": 1}}, {"text": "x" * 1_048_576}, {"n": 2**70}, {"lists": [[1]]}],
    ids=["reserved name", "empty name", "large", "64 bits", "lists in lists"],
)
def test_values_that_firestore_does_not_take_are_rejected(cloud: Any, folder: str, odd: dict[str, Any]):
    from shared.adapters.firestore import FirestoreDocuments

    documents = FirestoreDocuments.connect(cloud.env["GOOGLE_CLOUD_PROJECT"], "(default)")
    page = [(f"{folder}/odd", {**odd, "at": datetime(2026, 3, 1, tzinfo=UTC)})]
    for put in (
        lambda: documents.put_many(page),
        lambda: documents.put_changed(page, ()),
        lambda: documents.put_newer(page, "at", ()),
    ):
        with pytest.raises(Rejected):
            put()


class Meanwhile:
    """Fields that may differ, none of them; somebody else does something while they are looked at."""

    def __init__(self, *done: Callable[[], Any]) -> None:
        self.left = list(done)

    def __contains__(self, name: object) -> bool:
        return False

    def __iter__(self) -> Iterator[str]:
        if self.left:
            self.left.pop(0)()
        return iter(())

    def __len__(self) -> int:
        return 0


@pytest.mark.parametrize("hours", [-1, 1])
def test_what_is_written_while_it_is_compared_is_compared_again(documents: Documents, folder: str, hours: int):
    at = datetime(2026, 3, 1, 12, tzinfo=UTC)
    other = {"n": 2, "at": at + timedelta(hours=hours), "gone": {"a.b": 1}, "c.d": 1}
    names = ("changed", "deleted", "beside")
    documents.put_many((f"{folder}/{name}", {"n": 0, "at": at - timedelta(days=1)}) for name in names)
    wanted = {f"{folder}/{name}": {"n": 1, "at": at, "map": {"a.b": 1, "c d": []}, "a.b": 1} for name in names}
    meanwhile = Meanwhile(
        lambda: documents.put(f"{folder}/changed", other), lambda: documents.delete(f"{folder}/deleted")
    )
    kept = documents.put_newer(list(wanted.items()), "at", meanwhile)
    assert kept == ({f"{folder}/changed": other} if hours > 0 else {})
    assert {path: documents.get(path) for path in wanted} == wanted | kept


def test_what_is_newer_is_not_deleted(documents: Documents, folder: str):
    early, late = datetime(2026, 3, 1, 12, tzinfo=UTC), datetime(2026, 3, 1, 12, 0, 0, 1, tzinfo=UTC)
    documents.put(f"{folder}/a", {"at": late})
    assert not documents.delete_older(f"{folder}/a", "at", early)
    assert documents.get(f"{folder}/a") == {"at": late}
    assert documents.delete_older(f"{folder}/a", "at", late)
    assert not documents.delete_older(f"{folder}/a", "at", late)
    assert documents.get(f"{folder}/a") is None


def test_what_was_put_is_read_back_whole(documents: Documents, folder: str):
    at = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
    values = {"text": "ä", "whole": 2**53 + 1, "half": 0.5, "none": None, "at": at, "list": [1, {"a": b"x"}], "map": {}}
    documents.put(f"{folder}/a", values)
    assert documents.get(f"{folder}/a") == values


def test_put_replaces_the_whole_document(documents: Documents, folder: str):
    documents.put(f"{folder}/a", {"x": 1, "y": 1})
    documents.put(f"{folder}/a", {"x": 2})
    assert documents.get(f"{folder}/a") == {"x": 2}


def test_what_is_not_there_is_none_and_may_be_deleted(documents: Documents, folder: str):
    assert documents.get(f"{folder}/a") is None
    documents.delete(f"{folder}/a")


def test_create_leaves_what_exists(documents: Documents, folder: str):
    assert documents.create(f"{folder}/a", {"x": 1})
    assert not documents.create(f"{folder}/a", {"x": 2})
    assert documents.get(f"{folder}/a") == {"x": 1}


def test_many_are_put(documents: Documents, folder: str):
    assert documents.put_many((f"{folder}/{number}", {"x": number}) for number in range(250)) == 250
    assert sum(1 for _ in documents.find(folder)) == 250


def test_transaction_returns_what_it_wrote_or_leaves_it(documents: Documents, folder: str):
    path = f"{folder}/a"
    assert documents.transact(path, lambda found: {"seen": found}) == {"seen": None}
    assert documents.transact(path, lambda found: None) is None
    assert documents.get(path) == {"seen": None}


def test_error_inside_a_transaction_writes_nothing_and_is_raised_as_it_is(documents: Documents, folder: str):
    def refuse(found: Values | None) -> Values | None:
        raise Rejected("no")

    with pytest.raises(Rejected, match="no"):
        documents.transact(f"{folder}/a", refuse)
    assert documents.get(f"{folder}/a") is None


def test_value_error_inside_a_transaction_is_no_contention(documents: Documents, folder: str):
    with pytest.raises(ValueError, match="abc"):
        documents.transact(f"{folder}/a", lambda found: {"n": int("abc")})
    with pytest.raises(ValidationError):
        documents.transact(f"{folder}/a", lambda found: Cursor.model_validate(found or {}).document())
    assert documents.get(f"{folder}/a") is None


def test_a_tree_is_the_document_and_all_below_it_and_nothing_beside(documents: Any, folder: str):
    below = [f"{folder}/a", f"{folder}/a/notes/1", f"{folder}/a/gone/between/replies/2"]
    for path in [*below, f"{folder}/a2", f"{folder}/a2/notes/1"]:
        documents.put(path, {"x": 1})
    found = dict(documents.tree(f"{folder}/a"))
    assert sorted(found) == sorted(below)
    assert all(made <= documents.moment() for made in found.values())
    assert documents.delete_many(iter(below)) == 3
    assert list(documents.tree(f"{folder}/a")) == []
    assert len(list(documents.tree(f"{folder}/a2"))) == 2


def test_concurrent_transactions_all_count(documents: Documents, folder: str):
    path = f"{folder}/a"
    documents.put(path, {"n": 0})

    def count(_: int) -> None:
        while True:
            try:
                documents.transact(path, lambda found: {"n": (found or {"n": 0})["n"] + 1})
            except Unavailable:
                continue
            return

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(count, range(4)))
    assert documents.get(path) == {"n": 4}


def test_write_of_somebody_else_during_a_transaction_is_seen_by_it(documents: Documents, folder: str):
    path = f"{folder}/a"
    documents.put(path, {"mine": 0, "theirs": 0})
    reads = []

    def change(found: Values | None) -> Values | None:
        assert found is not None
        reads.append(found["theirs"])
        if len(reads) == 1:
            other = threading.Thread(target=documents.transact, args=(path, lambda now: {**(now or {}), "theirs": 1}))
            other.start()
            other.join(0.5)
        return {**found, "mine": 1}

    documents.transact(path, change)
    # Either order is right; one of the two writes lost is not.
    for _ in range(100):
        if documents.get(path) == {"mine": 1, "theirs": 1}:
            break
        threading.Event().wait(0.1)
    assert documents.get(path) == {"mine": 1, "theirs": 1}


def test_find_filters_orders_and_limits(documents: Documents, folder: str):
    for name, n in (("a", 1), ("b", 3), ("c", 2)):
        documents.put(f"{folder}/{name}", {"n": n, "even": n % 2 == 0})
    documents.put(f"{folder}/d", {"other": 1})
    documents.put(f"{folder}/a/{folder}/nested", {"n": 9})

    def names(**options: Any) -> list[str]:
        return [path.rpartition("/")[2] for path, _ in documents.find(folder, **options)]

    assert names() == ["a", "b", "c", "d"]
    assert names(order_by="-n") == ["b", "c", "a"]
    assert names(order_by="n", limit=2) == ["a", "c"]
    assert names(where=[("n", ">=", 2)]) in (["b", "c"], ["c", "b"])
    assert names(where=[("even", "==", True)]) == ["c"]
    assert sorted(names(where=[("n", "in", [1, 3])])) == ["a", "b"]
    assert [path for path, _ in documents.find(folder, where=[("n", "==", 1)])] == [f"{folder}/a"]


@pytest.mark.parametrize("order_by", ["n", "-n"])
def test_pages_behind_a_document_hold_each_once_even_where_values_are_equal(
    documents: Documents, folder: str, order_by: str
):
    documents.put_many((f"{folder}/d{number}", {"n": number // 4, "even": number % 2 == 0}) for number in range(12))
    where, seen, after = [("even", "==", True)], [], None
    while page := list(documents.find(folder, where, order_by, limit=2, after=after)):
        seen += [path for path, _ in page]
        after = (page[-1][1]["n"], page[-1][0])
    assert sorted(seen) == sorted(f"{folder}/d{number}" for number in range(0, 12, 2))
    assert seen == [path for path, _ in documents.find(folder, where, order_by)]


def test_what_a_filter_finds_is_counted(documents: Documents, folder: str):
    documents.put_many((f"{folder}/d{number}", {"n": number}) for number in range(5))
    assert documents.count(folder) == 5
    assert documents.count(folder, [("n", ">=", 3)]) == 2
    assert documents.count(folder, [("n", "==", 9)]) == 0


def test_listener_hears_what_is_and_what_changes_until_it_is_stopped(documents: Any, folder: str):
    heard: list[tuple[str, str, Values]] = []
    some = threading.Condition()

    def hear(change: str, document_id: str, values: Values) -> None:
        with some:
            heard.append((change, document_id, values))
            some.notify_all()

    def await_last(expected: tuple[str, str, Values]) -> None:
        with some:
            assert some.wait_for(lambda: expected in heard, WAIT_SECONDS), heard

    documents.put(f"{folder}/a", {"x": 1})
    stop = documents.listen(folder, hear)
    await_last(("ADDED", "a", {"x": 1}))
    documents.put(f"{folder}/a", {"x": 2})
    await_last(("MODIFIED", "a", {"x": 2}))
    documents.put(f"{folder}/b", {"x": 1})
    await_last(("ADDED", "b", {"x": 1}))
    documents.delete(f"{folder}/a")
    with some:
        assert some.wait_for(lambda: any(change == "REMOVED" for change, _, _ in heard), WAIT_SECONDS)
    stop()


# --- KeywordStore ----------------------------------------------------------------------------------------------------

CHECKED = date(2026, 11, 18)


@pytest.fixture
def tenant_id(documents: Documents) -> str:
    """A tenant that tracks two keywords."""
    tenant_id = f"tenant_{uuid.uuid4().hex}"
    for text in ("Red  Shoes", "blue shoes"):
        created_at = datetime(2026, 1, 1, tzinfo=UTC)
        record = Keyword(keyword=text, tenant_id=tenant_id, search_volume=900, created_at=created_at)
        documents.put(f"tenants/{tenant_id}/keywords/{text}", record.document())
    return tenant_id


def test_observations_of_tracked_keywords_are_kept_by_day_and_nothing_else_changes(
    documents: Documents, tenant_id: str
):
    keywords, path = DocumentKeywords(documents), f"tenants/{tenant_id}/keywords/Red  Shoes"
    before = documents.get(path)
    assert keywords.tracked(tenant_id) == ["blue shoes", "red shoes"]
    seen = [Observation("red shoes", CHECKED - timedelta(days=ago), 4.25 + ago, "https://a.example/") for ago in (0, 1)]
    for one in seen:
        other = Observation("green shoes", CHECKED, 1.0, "https://a.example/")
        assert keywords.observe(tenant_id, [one, other]).changed == 1
    assert keywords.observe(tenant_id, seen) == (0, 0)
    found = documents.get(path)
    assert before is not None
    assert found == before | {
        "current_ranking": 4,
        "best_ranking": 4,
        "last_checked": datetime(2026, 11, 18, tzinfo=UTC),
        "serp_history": [
            {"date": "2026-11-17", "position": 5.25, "url": "https://a.example/"},
            {"date": "2026-11-18", "position": 4.25, "url": "https://a.example/"},
        ],
    }


def test_rows_of_search_console_become_checks(documents: Documents, tenant_id: str):
    site = "https://a.example/"
    rows = [("red shoes", 0, 4.0), ("red shoes", 2, 6.0), ("red shoes", 5, 1.0), ("green shoes", 0, 1.0)]
    for number, (query, ago, position) in enumerate(rows):
        day = (CHECKED - timedelta(days=ago)).isoformat()
        fields = {"date": day, "query": query, "page": site, "site_url": site, "impressions": 3, "position": position}
        documents.put(f"tenants/{tenant_id}/search_console_queries/{number}", fields)
    rankings = SearchRankings(documents, DocumentKeywords(documents))
    pull = Pull(tenant_id, "run-1", CHECKED - timedelta(days=4), SourceSettings(site_url=site))
    assert [rankings.after(pull)["keywords"] for _ in range(2)] == [1, 0]
    found = documents.get(f"tenants/{tenant_id}/keywords/Red  Shoes")
    assert found is not None
    assert (found["current_ranking"], found["best_ranking"]) == (4, 4)
    assert [check["date"] for check in found["serp_history"]] == ["2026-11-16", "2026-11-18"]


# --- Publisher -------------------------------------------------------------------------------------------------------


@BOTH
def test_published_message_arrives_with_its_trace(kind: str, request: pytest.FixtureRequest):
    message = CacheInvalidationRequested(tenant_id="demo", scope="aso_opportunities:demo")
    if kind == "fake":
        publisher: Publisher = FakePublisher()
        assert publisher.publish(message)
        assert publisher.messages == [message]  # type: ignore[attr-defined]
        assert publisher.publish_again(message.topic, b"{}", {"a": "b"})
        assert publisher.again == [(message.topic, b"{}", {"a": "b"})]  # type: ignore[attr-defined]
        return
    from google.cloud import pubsub_v1

    from shared.adapters.pubsub import PubSubPublisher

    project = request.getfixturevalue("cloud").env["GOOGLE_CLOUD_PROJECT"]
    with pubsub_v1.SubscriberClient() as subscriber:
        topic, subscription = f"projects/{project}/topics/{message.topic}", f"projects/{project}/subscriptions/contract"
        pubsub_v1.PublisherClient().create_topic(name=topic)
        subscriber.create_subscription(name=subscription, topic=topic)
        assert PubSubPublisher(project).publish(message)
        [received] = subscriber.pull(subscription=subscription, max_messages=1, timeout=WAIT_SECONDS).received_messages
        subscriber.acknowledge(subscription=subscription, ack_ids=[received.ack_id])
        assert PubSubPublisher(project).publish_again(message.topic, b"{}", {"a": "b"})
        [again] = subscriber.pull(subscription=subscription, max_messages=1, timeout=WAIT_SECONDS).received_messages
        with pytest.raises(NotFound):
            PubSubPublisher(project).publish_again("no-such-topic", b"{}", {})
    assert (again.message.data, dict(again.message.attributes)) == (b"{}", {"a": "b"})
    assert CacheInvalidationRequested.model_validate_json(received.message.data) == message
    assert {"traceparent", "correlation_id"} <= received.message.attributes.keys()


@BOTH
def test_publisher_that_cannot_publish_says_unavailable(kind: str, request: pytest.FixtureRequest):
    message = CacheInvalidationRequested(tenant_id="demo", scope="x")
    if kind == "fake":
        publisher: Publisher = FakePublisher()
        publisher.down = True  # type: ignore[attr-defined]
    else:
        from shared.adapters.pubsub import PubSubPublisher

        request.getfixturevalue("cloud")
        publisher = PubSubPublisher("no-such-project")
    with pytest.raises(Unavailable):
        publisher.publish(message)


# --- Objects ---------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["fake", "real"])
def objects(request: pytest.FixtureRequest) -> Any:
    if request.param == "fake":
        return FakeObjects()
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import storage

    from shared.adapters.storage import StorageObjects

    cloud = request.getfixturevalue("cloud")
    client = storage.Client(project=cloud.env["GOOGLE_CLOUD_PROJECT"], credentials=AnonymousCredentials())
    return StorageObjects(client.create_bucket(f"contract-{uuid.uuid4().hex}"))


def test_object_is_put_once(objects: Objects):
    assert objects.put_if_absent("a/b.json", b'{"x": 1}')
    assert not objects.put_if_absent("a/b.json", b'{"x": 2}')
    assert objects.get("a/b.json") == b'{"x": 1}'


def test_object_that_is_not_there_is_none(objects: Objects):
    assert objects.get("nothing") is None


def test_objects_are_listed_by_what_they_begin_with_and_deleted(objects: Any):
    for name in ("a/1", "a/2", "ab/1"):
        objects.put_if_absent(name, b"x")
    assert list(objects.names("a/")) == ["a/1", "a/2"]
    objects.delete("a/1")
    objects.delete("a/1")
    assert list(objects.names("a/")) == ["a/2"]
    assert objects.put_if_absent("a/1", b"y")


def test_bytes_survive(objects: Objects):
    objects.put_if_absent("bytes", bytes(range(256)), "application/octet-stream")
    assert objects.get("bytes") == bytes(range(256))


# --- Cache -----------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["fake", "real"])
def cache(request: pytest.FixtureRequest) -> Any:
    if request.param == "fake":
        return FakeCache()
    from shared.adapters.redis import RedisCache

    return RedisCache.connect(request.getfixturevalue("cloud").env["REDIS_URL"])


@pytest.fixture
def scope() -> str:
    return f"scope_{uuid.uuid4().hex}"


def test_value_is_loaded_once(cache: Cache, scope: str):
    loads = []

    def load() -> Any:
        loads.append(1)
        return {"n": [1, "two", None]}

    assert cache.load(f"{scope}:a", scope, 60, load) == {"n": [1, "two", None]}
    assert cache.load(f"{scope}:a", scope, 60, load) == {"n": [1, "two", None]}
    assert cache.get(f"{scope}:a", scope) == {"n": [1, "two", None]}
    assert len(loads) == 1


def test_forgotten_scope_holds_nothing(cache: Cache, scope: str):
    cache.load(f"{scope}:a", scope, 60, lambda: 1)
    cache.load(f"{scope}2:a", f"{scope}2", 60, lambda: 1)
    assert cache.forget([scope]) == 1
    assert cache.forget([scope]) == 0
    assert cache.forget([]) == 0
    assert cache.get(f"{scope}:a", scope) is None
    assert cache.get(f"{scope}2:a", f"{scope}2") == 1


def test_value_that_was_loaded_before_the_scope_was_forgotten_is_never_believed(cache: Cache, scope: str):
    def slow() -> str:
        cache.forget([scope])
        return "old"

    assert cache.load(f"{scope}:a", scope, 60, slow) == "old"
    assert cache.load(f"{scope}:a", scope, 60, lambda: "new") == "new"


def test_sweep_removes_what_matches(cache: Cache, scope: str):
    for name in ("list:1", "list:2", "one"):
        cache.load(f"{scope}:{name}", scope, 60, lambda: 1)
    assert cache.sweep(f"{scope}:list:*") == 2
    assert cache.get(f"{scope}:list:1", scope) is None
    assert cache.get(f"{scope}:one", scope) == 1


def test_keys_that_match_are_counted(cache: Any, scope: str):
    for name in ("list:1", "list:2", "one"):
        cache.load(f"{scope}:{name}", scope, 60, lambda: 1)
    assert cache.count(f"{scope}:list:*") == 2
    assert cache.count(f"{scope}:*") == 3


def test_loader_that_fails_leaves_nothing_behind(cache: Cache, scope: str):
    def fail() -> Any:
        raise Rejected("no")

    with pytest.raises(Rejected):
        cache.load(f"{scope}:a", scope, 60, fail)
    assert cache.load(f"{scope}:a", scope, 60, lambda: 1) == 1


@BOTH
def test_cache_that_is_down_loads_and_refuses_to_forget(kind: str, scope: str):
    if kind == "fake":
        cache: Cache = FakeCache()
        cache.down = True  # type: ignore[attr-defined]
    else:
        from shared.adapters.redis import RedisCache

        # A port that nothing listens on.
        cache = RedisCache.connect("redis://127.0.0.1:9/0")
    assert cache.load(f"{scope}:a", scope, 60, lambda: 1) == 1
    with pytest.raises(Unavailable):
        cache.forget([scope])
    with pytest.raises(Unavailable):
        cache.sweep(f"{scope}:*")
