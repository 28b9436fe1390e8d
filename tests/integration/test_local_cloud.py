"""The local cloud with small functions of its own: the real emulators, the real clients, real processes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from google.api_core.exceptions import PreconditionFailed
from google.auth.credentials import AnonymousCredentials

from infra.local.cloud import LocalCloud
from infra.local.lock import is_free, wait_until_free

ROOT = Path(__file__).parents[2]
WAIT_SECONDS = 60

NOTE_WRITE = (
    """\
description: Notes each write; refuses while there is a file that says so.
trigger: {firestore: {document: "{document=**}"}}
service_account: note-write
""",
    """\
import os, pathlib
import functions_framework.aio

SEEN = pathlib.Path(os.environ["SEEN"])

@functions_framework.aio.cloud_event
async def note_write(event):
    if (SEEN / "refuse").exists():
        raise RuntimeError("refused")
    with (SEEN / "writes").open("a") as file:
        file.write(event["subject"] + "\\n")
""",
)
NOTE_MESSAGE = (
    """\
description: Notes each message with its caller, and what it finds in its environment.
trigger: {http: true, topics: [thing-written]}
concurrency: 4
service_account: note-message
secrets: [ITS_OWN_SECRET]
""",
    """\
import os, pathlib
import functions_framework
from shared.settings import settings
from shared.runtime.auth import Verifier

SEEN = pathlib.Path(os.environ["SEEN"])
NAMES = ("THREADS", "K_SERVICE", "ITS_OWN_SECRET", "ANOTHERS_SECRET", "DEV_TOKEN", "GOOGLE_CLOUD_PROJECT")

@functions_framework.http
def note_message(request):
    if request.method == "GET":
        return {name: os.environ.get(name) for name in NAMES}
    caller = Verifier(settings().token_issuers).verify(request.headers.get("Authorization"))
    with (SEEN / "messages").open("a") as file:
        file.write(f"{caller.subject} {caller.operator}\\n")
    return "", 204
""",
)
KEEP_SECRET = (
    """\
description: Has a secret that no other function may see.
trigger: {http: true}
concurrency: 1
service_account: keep-secret
secrets: [ANOTHERS_SECRET]
""",
    """\
import functions_framework

@functions_framework.http
def keep_secret(request):
    return ""
""",
)
BROKEN = (
    "description: Cannot be imported.\ntrigger: {http: true}\nservice_account: broken-one\n",
    "raise RuntimeError('this function is broken')\n",
)


def write_functions(folder: Path, **functions: tuple[str, str]) -> Path:
    for name, (declaration, code) in functions.items():
        (folder / name).mkdir(parents=True)
        (folder / name / "function.yaml").write_text(declaration)
        (folder / name / "main.py").write_text(code)
    return folder


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    return tmp_path_factory.mktemp("seen")


@pytest.fixture(scope="module")
def cloud(tmp_path_factory, seen):
    folder = tmp_path_factory.mktemp("local")
    functions = write_functions(
        folder / "functions", note_write=NOTE_WRITE, note_message=NOTE_MESSAGE, keep_secret=KEEP_SECRET
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ITS_OWN_SECRET", "own")
        patch.setenv("ANOTHERS_SECRET", "another's")
        shared = {"environment": {"SEEN": str(seen)}, "databases": ["shop"]}
        with LocalCloud(folder / "state", functions, **shared) as cloud:
            for name, value in cloud.env.items():
                patch.setenv(name, value)
            yield cloud


@pytest.fixture
def documents(cloud):
    from google.cloud import firestore

    return firestore.Client()


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def wait_until(true) -> None:
    until = time.monotonic() + WAIT_SECONDS
    while not true():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_a_write_and_a_delete_reach_the_function_once_each(cloud, documents, seen):
    document = documents.document("tenants/demo/things/1")
    document.set({"size": 1})
    document.delete()
    cloud.drain()
    assert lines(seen / "writes").count("documents/tenants/demo/things/1") == 2


def test_writes_of_each_streamed_database_reach_the_function(cloud, documents, seen):
    from google.cloud import firestore

    path = "carts/1"
    firestore.Client(database="shop").document(path).set({"size": 1})
    documents.document(path).set({"size": 2})
    cloud.drain()
    assert lines(seen / "writes").count(f"documents/{path}") == 2
    assert cloud.env["SCOUT_DATABASES"] == "(default) shop"


def test_writes_of_other_databases_trigger_nothing(cloud, seen):
    from google.cloud import firestore

    firestore.Client(database="unheard").document("runs/1").set({"state": "done"})
    own_state = firestore.Client(database="ops")
    own_state.document("runs/1").set({"state": "done"})
    cloud.drain()
    assert own_state.document("runs/1").get().to_dict() == {"state": "done"}
    assert "documents/runs/1" not in lines(seen / "writes")


def test_a_message_is_pushed_with_a_token_that_the_product_accepts(cloud, seen):
    from google.cloud import pubsub_v1

    publisher = pubsub_v1.PublisherClient()
    publisher.publish(publisher.topic_path("scout-local", "thing-written"), b"{}").result()
    cloud.drain()
    assert lines(seen / "messages") == ["pubsub@scout.local True"]


def test_tokens_are_accepted_for_what_they_are(cloud, seen):
    url = cloud.url("note_message")
    assert httpx.post(url, json={}, headers=cloud.auth("ann@example.org", "demo")).status_code == 204
    assert httpx.post(url, json={}, headers={"Authorization": f"Bearer {cloud.env['DEV_TOKEN']}"}).status_code == 204
    assert lines(seen / "messages")[-2:] == ["ann@example.org False", "operator@scout.local True"]
    forged = cloud.token()[:-8] + "AAAAAAAA"
    assert httpx.post(url, json={}, headers={"Authorization": f"Bearer {forged}"}).status_code == 500


def test_a_function_gets_its_own_environment_and_no_other_secrets(cloud):
    found = httpx.get(cloud.url("note_message")).json()
    assert found == {
        "THREADS": "4",
        "K_SERVICE": "note-message",
        "ITS_OWN_SECRET": "own",
        "ANOTHERS_SECRET": None,
        "DEV_TOKEN": None,
        "GOOGLE_CLOUD_PROJECT": "scout-local",
    }


def test_a_function_killed_while_events_wait_comes_back_and_gets_them_all(cloud, documents, seen):
    (seen / "refuse").touch()
    batch = documents.batch()
    for number in range(50):
        batch.set(documents.document(f"killed/{number}"), {"number": number})
    batch.commit()
    port = cloud.url("note_write")
    wait_until(lambda: cloud.status()["triggers"]["note-write"]["failed_attempts"] > 0)
    killed = cloud.kill_function("note_write")
    (seen / "refuse").unlink()
    cloud.drain()
    assert cloud.function_pids("note_write")[0] != killed
    assert cloud.url("note_write") == port
    assert {f"documents/killed/{number}" for number in range(50)} <= set(lines(seen / "writes"))
    assert cloud.deaths()["note_write"] == "signal SIGKILL, 1x"


def test_a_router_killed_while_events_wait_delivers_them_when_it_is_back(cloud, documents, seen):
    (seen / "refuse").touch()
    received = cloud.status()["triggers"]["note-write"]["received"]
    for number in range(20):
        documents.document(f"routed/{number}").set({"number": number})
    wait_until(lambda: cloud.status()["triggers"]["note-write"]["received"] == received + 20)
    assert cloud.status()["outstanding"] == 20
    cloud.restart_part("router")
    (seen / "refuse").unlink()
    cloud.drain()
    assert {f"documents/routed/{number}" for number in range(20)} <= set(lines(seen / "writes"))


def test_bigquery_answers_with_the_official_client(cloud):
    from google.cloud import bigquery

    client = bigquery.Client(
        credentials=AnonymousCredentials(), client_options={"api_endpoint": cloud.env["BIGQUERY_EMULATOR_HOST"]}
    )
    assert [row.two for row in client.query_and_wait("SELECT 1 + 1 AS two")] == [2]


def test_storage_has_the_bucket_of_dead_letters_and_enforces_preconditions(cloud):
    from google.cloud import storage

    bucket = storage.Client(credentials=AnonymousCredentials()).bucket(cloud.env["SCOUT_DEAD_LETTER_BUCKET"])
    bucket.blob("a/b").upload_from_string("once", if_generation_match=0)
    with pytest.raises(PreconditionFailed):
        bucket.blob("a/b").upload_from_string("twice", if_generation_match=0)
    assert bucket.blob("a/b").download_as_text() == "once"


def test_redis_is_a_real_server(cloud):
    import redis

    client = redis.Redis.from_url(cloud.env["REDIS_URL"])
    assert client.set("key", "value", nx=True)
    assert client.eval("return redis.call('GET', KEYS[1])", 1, "key") == b"value"


def command(*arguments: str, environment: dict[str, str] | None = None) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "infra.local", *arguments],
        cwd=ROOT,
        env=environment or dict(os.environ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.parametrize("name", ["run", "up"])
def test_without_java_it_says_what_to_install_and_exits_3(name, tmp_path):
    environment = {**os.environ, "PATH": ""}
    environment.pop("JAVA_HOME", None)
    process = command(name, "--state", str(tmp_path), environment=environment)
    said, _ = process.communicate(timeout=WAIT_SECONDS)
    assert process.returncode == 3, said
    assert said.startswith("missing: Java 17 or newer. Install with: ")
    assert len(said.splitlines()) == 1


def test_a_function_that_cannot_start_is_named_with_its_log(tmp_path):
    functions = write_functions(tmp_path / "functions", broken_one=BROKEN)
    process = command("up", "--state", str(tmp_path / "state"), "--functions", str(functions))
    said, _ = process.communicate(timeout=WAIT_SECONDS)
    assert process.returncode == 1, said
    assert "function broken_one ended before it could serve" in said
    assert "this function is broken" in said
    assert wait_until_free(tmp_path / "state" / "lock", WAIT_SECONDS)


def test_up_is_used_by_others_and_ctrl_c_leaves_nothing_behind(tmp_path, seen):
    functions = write_functions(tmp_path / "functions", keep_secret=KEEP_SECRET)
    state = tmp_path / "state"
    options = ("--state", str(state), "--functions", str(functions))
    process = command("up", *options)
    wait_until(lambda: (state / "env").exists() or process.poll() is not None)
    exports = subprocess.run(
        ["/bin/sh", "-c", f". {state}/env && env"], capture_output=True, text=True, check=True
    ).stdout
    environment = dict(line.split("=", 1) for line in exports.splitlines() if "=" in line)
    assert httpx.get(environment["FUNCTION_URL_KEEP_SECRET"]).status_code == 200
    assert json.loads(environment["SCOUT_TOKEN_ISSUERS"])[0]["operators"]
    assert (state / "env").stat().st_mode & 0o077 == 0, "it holds a token"

    second = command("up", *options)
    said, _ = second.communicate(timeout=WAIT_SECONDS)
    assert second.returncode == 1
    assert "already running" in said

    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=WAIT_SECONDS)
    assert process.returncode == 0, said
    assert is_free(state / "lock"), "every process of the cloud held the lock"
    assert not (state / "env").exists()


def test_ctrl_c_while_it_starts_leaves_nothing_behind(tmp_path):
    process = command("up", "--state", str(tmp_path), "--functions", str(tmp_path / "none"))
    wait_until(lambda: (tmp_path / "logs" / "firestore.log").exists() or process.poll() is not None)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=WAIT_SECONDS)
    assert process.returncode == 130, said
    assert is_free(tmp_path / "lock")


def test_up_detached_returns_when_ready_and_down_ends_it_even_after_a_kill(tmp_path):
    functions = write_functions(tmp_path / "functions", keep_secret=KEEP_SECRET)
    state = tmp_path / "state"
    starting = command("up", "--detach", "--state", str(state), "--functions", str(functions))
    said, _ = starting.communicate(timeout=WAIT_SECONDS)
    assert starting.returncode == 0, said
    assert "make down" in said
    assert not is_free(state / "lock")
    os.kill(int((state / "pid").read_text()), signal.SIGKILL)
    ending = command("down", "--state", str(state))
    said, _ = ending.communicate(timeout=WAIT_SECONDS)
    assert ending.returncode == 0, said
    assert is_free(state / "lock")


def test_both_databases_answer_nobody_without_a_token(tmp_path):
    with LocalCloud(state=tmp_path, functions=tmp_path / "none") as cloud:
        host = cloud.env["FIRESTORE_EMULATOR_HOST"]
        for database in ("(default)", "ops"):
            url = f"http://{host}/v1/projects/scout-local/databases/{database}/documents/tenants/demo"
            assert httpx.get(url).status_code == 403
            assert httpx.get(url, headers={"Authorization": "Bearer owner"}).status_code == 404
