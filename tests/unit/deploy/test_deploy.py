"""The deployment as a plan: what it stages stands alone, and its script says what each function declares."""

import json
import os
import re
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from infra.deploy.plan import Target, roles, script
from infra.deploy.stage import stage
from infra.functions import load_functions
from shared.settings import Settings

ROOT = Path(__file__).parents[3]
FUNCTIONS = {function.name: function for function in load_functions(ROOT / "functions")}
TARGET = Target("my-project", "europe-west4", "eur3", "redis://10.0.0.3:6379/0", databases=("(default)", "shop"))
# Plays every command that the script calls: notes it, finds nothing but databases and functions.
PLAYED = """#!/usr/bin/env bash
printf '%s\\n' "$(basename "$0") $*" >> "$CALLED"
case "$*" in
  *"${FAILS:-nothing fails}"*) exit 1;;
  *" --data-file=-"*) cat > /dev/null;;
  *"databases describe --database=gone "*) echo "NOT_FOUND: gone" >&2; exit 1;;
  *"databases describe --database=shop "*) echo eur3;;
  *"databases describe "*) echo nam5;;
  "functions describe "*) echo https://a.function;;
  *" describe "*) exit 1;;
esac
"""


@pytest.fixture(scope="module")
def lines():
    return script(FUNCTIONS.values(), TARGET, Path("build")).splitlines()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_staged_function_serves_from_its_own_folder_alone(name, tmp_path):
    folder = stage(FUNCTIONS[name], tmp_path)
    code = (
        "from functions_framework import create_app; "
        f"app = create_app('{name}', 'main.py'); "
        "import shared; print(shared.__path__[0])"
    )
    environment = {"PATH": os.environ["PATH"], "GOOGLE_CLOUD_PROJECT": "p", "FUNCTION_TARGET": name}
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(folder / "shared")
    assert not list(folder.rglob("function.yaml"))
    assert not (folder / "infra").exists()
    assert not (folder / "tests").exists()


def test_the_script_is_a_shell_script(lines):
    assert subprocess.run(["bash", "-n"], input="\n".join(lines), text=True, check=False).returncode == 0


def test_the_trigger_of_documents_is_retried_and_called_by_its_own_account(lines):
    [deploy] = [line for line in lines if line.startswith("gcloud functions deploy stream-document ")]
    assert "--retry" in deploy
    assert "--trigger-event-filters=type=google.cloud.firestore.document.v1.written" in deploy
    assert "--allow-unauthenticated" not in deploy
    assert any("run services add-iam-policy-binding stream-document" in line for line in lines)


def run_played(target, folder, fails=""):
    """Run the script with every command played, those that hold `fails` in vain; its exit code, and what it called."""
    for name in ("gcloud", "firebase"):
        (folder / name).write_text(PLAYED)
        (folder / name).chmod(0o755)
    called = folder / "called"
    done = subprocess.run(
        ["bash"],
        input=script(FUNCTIONS.values(), target, Path("build")),
        env={"PATH": f"{folder}:{os.environ['PATH']}", "CALLED": str(called), "FAILS": fails},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, called.read_text().splitlines()


def test_each_database_gets_a_trigger_that_lies_where_the_database_does(tmp_path):
    code, called = run_played(TARGET, tmp_path)
    assert code == 0
    [deploy] = [call for call in called if call.startswith("gcloud functions deploy stream-document ")]
    assert "--trigger-location=nam5 " in deploy
    assert "--trigger-event-filters=database=(default) " in deploy
    [further] = [call for call in called if "eventarc triggers create" in call]
    assert further == (
        "gcloud eventarc triggers create stream-document--shop --location=eur3 "
        "--destination-run-service=stream-document --destination-run-region=europe-west4 "
        "--event-filters=type=google.cloud.firestore.document.v1.written --event-filters=database=shop "
        "--event-filters-path-pattern=document={document=**} --event-data-content-type=application/protobuf "
        "--service-account=scout-pubsub@my-project.iam.gserviceaccount.com"
    )
    right = next(number for number, call in enumerate(called) if "run services add-iam-policy-binding" in call)
    assert called.index(deploy) < right < called.index(further), "the service is there and may be called by then"


def test_a_database_that_is_not_there_ends_the_deployment_and_is_not_made(tmp_path):
    code, called = run_played(replace(TARGET, databases=("(default)", "gone")), tmp_path)
    assert code == 1
    assert called[-1].startswith("gcloud firestore databases describe --database=gone ")
    assert not [call for call in called if "databases create" in call and "gone" in call]


def test_the_hash_key_is_made_once_and_reaches_those_that_need_it_alone(tmp_path):
    _, called = run_played(TARGET, tmp_path)
    made = next(number for number, call in enumerate(called) if call.startswith("gcloud secrets create SCOUT_HASH_KEY"))
    for function in FUNCTIONS.values():
        deployed = [call for call in called if call.startswith(f"gcloud functions deploy {function.dashed} ")]
        mine = [call for call in called if f":{function.service_account}@" in call]
        given = [call for call in mine if call.startswith("gcloud secrets add-iam-policy-binding")]
        assert len(given) == len(function.secrets)
        for secret in function.secrets:
            assert f"{secret}={secret}:latest" in deployed[0]
            assert made < called.index(given[0]) < called.index(deployed[0])
    assert "SCOUT_HASH_KEY" in FUNCTIONS["stream_document"].secrets
    assert "SCOUT_HASH_KEY" not in FUNCTIONS["run_detectors"].secrets


def test_tenants_credentials_are_read_by_those_that_pull_sources_alone_and_no_other_secret_by_them(tmp_path):
    _, called = run_played(TARGET, tmp_path)
    found = [call for call in called if "tenants-credentials" in call]
    accounts = {re.search(r"serviceAccount:([\w-]+)@", call)[1] for call in found}
    assert accounts == {"sync-source", "check-source", "receive-webhook"}
    assert all('startsWith("scout-")' in call for call in found)


def test_every_database_has_an_id_that_google_takes(lines):
    named = set(re.findall(r"databases create --database='?([^' ]+)", "\n".join(lines)))
    rules = json.loads((ROOT / "infra" / "generated" / "firebase.json").read_text())["firestore"]
    assert named == {each["database"] for each in rules} == {"(default)", TARGET.environment()["SCOUT_OPS_DATABASE"]}
    assert all(re.fullmatch(r"\(default\)|[a-z][a-z0-9-]{2,61}[a-z0-9]", name) for name in named)


def test_every_function_has_a_most_of_instances(lines):
    for function in FUNCTIONS.values():
        [deploy] = [line for line in lines if line.startswith(f"gcloud functions deploy {function.dashed} ")]
        assert f"--max-instances={function.max_instances} " in deploy
    assert FUNCTIONS["receive_webhook"].max_instances * FUNCTIONS["receive_webhook"].concurrency <= 64


def test_requests_whose_address_is_secret_are_left_out_of_the_log_before_the_first_can_come(tmp_path):
    _, called = run_played(TARGET, tmp_path)
    [update] = [call for call in called if "--update-exclusion" in call]
    assert update.startswith("gcloud logging sinks update _Default ")
    assert "name=receive-webhook-requests,filter=" in update
    assert 'service_name="receive-webhook" AND log_id("run.googleapis.com/requests")' in update
    deployed = next(number for number, call in enumerate(called) if "functions deploy receive-webhook" in call)
    assert called.index(update) < deployed
    assert not [call for call in called if "--add-exclusion" in call], "what is there is brought up to date"


def test_an_exclusion_that_is_not_there_is_added(tmp_path):
    _, called = run_played(TARGET, tmp_path, fails="--update-exclusion")
    [update] = [call for call in called if "--update-exclusion" in call]
    assert update.replace("--update-", "--add-") in called


def test_the_services_of_every_source_that_is_googles_are_enabled(lines):
    [enabled] = [line for line in lines if line.startswith("gcloud services enable ")]
    google = {urlsplit(str(field.default)).hostname for field in Settings.model_fields.values()}
    asked = {host for host in google if host and host.endswith(".googleapis.com")} - {"oauth2.googleapis.com"}
    assert len(asked) == 3
    assert asked <= set(enabled.split())


def test_one_number_sets_the_platforms_concurrency_and_the_threads(lines):
    for function in FUNCTIONS.values():
        [deploy] = [line for line in lines if line.startswith(f"gcloud functions deploy {function.dashed} ")]
        assert f"--concurrency={function.concurrency} " in deploy
        assert f"THREADS={function.concurrency}'" in deploy


def test_every_topic_and_schedule_reaches_its_function(lines):
    text = "\n".join(lines)
    for function in FUNCTIONS.values():
        for topic in function.trigger.topics:
            assert f"subscriptions create {function.subscription(topic)} --topic={topic} " in text
            assert f"topics create {topic}" in text
        for schedule in function.trigger.schedules:
            job = f"http {function.dashed}--{schedule.name} "
            assert f"jobs update {job}" in text
            assert f"jobs create {job}" in text


def test_a_function_that_only_reads_may_not_write():
    assert roles(FUNCTIONS["stream_document"].model_copy(update={"reads": ("firestore:x",), "writes": ()})) == [
        "roles/datastore.viewer"
    ]


def test_values_with_commas_and_at_signs_survive_as_settings(lines):
    [deploy] = [line for line in lines if line.startswith("gcloud functions deploy sync-source ")]
    [given] = [option for option in shlex.split(deploy) if option.startswith("--set-env-vars=^|^")]
    named = dict(setting.split("=", 1) for setting in given.removeprefix("--set-env-vars=^|^").split("|"))
    assert '"operators": ["scout-scheduler@my-project.iam.gserviceaccount.com"' in named["SCOUT_TOKEN_ISSUERS"]
    assert named["REDIS_URL"] == "redis://10.0.0.3:6379/0"


def test_idle_subscriptions_stay_and_schedules_are_tried_again(lines):
    for line in lines:
        if "subscriptions create" in line:
            assert "--expiration-period=never" in line
        if "jobs create" in line:
            assert "--max-retry-attempts=5" in line


def test_right_to_receive_events_comes_before_the_function_that_needs_it(lines):
    receiver = next(number for number, line in enumerate(lines) if "roles/eventarc.eventReceiver" in line)
    deploy = next(number for number, line in enumerate(lines) if "functions deploy stream-document" in line)
    assert receiver < deploy


def test_provisioning_means_the_datasets_that_the_functions_mean(monkeypatch):
    for name, value in TARGET.environment().items():
        monkeypatch.setenv(name, value)
    assert Settings().bigquery_location == TARGET.region
