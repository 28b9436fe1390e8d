"""What deploys the functions, as shell lines that a person can read before they run.

Every line may be repeated: functions, rights and schedules are brought up to date, other resources left as they are.
"""

import json
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from infra.functions import DEFAULT_DATABASE, DEPLOYED_OPS_DATABASE, FirestoreTrigger, FunctionSpec, topics_of

SERVICES = (
    "analyticsdata", "artifactregistry", "bigquery", "bigquerystorage", "cloudbuild", "cloudfunctions",
    "cloudscheduler", "eventarc", "firestore", "googleads", "logging", "pubsub", "run", "searchconsole",
    "secretmanager", "storage",
)  # fmt: skip
"""Those of tenants' sources are asked as this project, unless the tenant's OAuth client is another's."""

ROLES = {
    ("reads", "firestore"): ("roles/datastore.viewer",),
    ("writes", "firestore"): ("roles/datastore.user",),
    ("reads", "bigquery"): ("roles/bigquery.dataViewer", "roles/bigquery.jobUser", "roles/bigquery.readSessionUser"),
    ("writes", "bigquery"): ("roles/bigquery.dataEditor", "roles/bigquery.jobUser"),
    ("writes", "pubsub"): ("roles/pubsub.publisher",),
    ("writes", "storage"): ("roles/storage.objectUser",),
}
"""Declared access -> roles; `redis` and `sources` are reached by network, with tenants' own grants and credentials."""

GENERATED = ("SCOUT_HASH_KEY",)
"""Secrets whose value is anything long that nobody can guess."""

AUDIENCE = "scout"
GOOGLE_KEYS = "https://www.googleapis.com/oauth2/v3/certs"
FIREBASE_KEYS = "https://www.googleapis.com/service_accounts/v1/jwk/securetoken@system.gserviceaccount.com"


@dataclass(frozen=True)
class Target:
    """Where to: project, region, the location of new Firestore databases, the cache and the way to it.

    databases: those whose writes are streamed.
    """

    project: str
    region: str
    firestore_location: str
    redis_url: str = ""
    vpc_connector: str = ""
    databases: tuple[str, ...] = (DEFAULT_DATABASE,)

    def account(self, name: str) -> str:
        """A service account's address."""
        return f"{name}@{self.project}.iam.gserviceaccount.com"

    def environment(self) -> dict[str, str]:
        """The settings of every function."""
        issuers = [
            {
                "issuer": "https://accounts.google.com",
                "jwks_url": GOOGLE_KEYS,
                "audience": AUDIENCE,
                "operators": [self.account("scout-scheduler"), self.account("scout-pubsub")],
            },
            {
                "issuer": f"https://securetoken.google.com/{self.project}",
                "jwks_url": FIREBASE_KEYS,
                "audience": self.project,
                "operators": [],
            },
        ]
        return {
            "GOOGLE_CLOUD_PROJECT": self.project,
            "SCOUT_OPS_DATABASE": DEPLOYED_OPS_DATABASE,
            "SCOUT_DATABASES": " ".join(self.databases),
            "SCOUT_DEAD_LETTER_BUCKET": f"{self.project}-dead-letters",
            "SCOUT_BIGQUERY_LOCATION": self.region,
            "SCOUT_TOKEN_ISSUERS": json.dumps(issuers),
            "REDIS_URL": self.redis_url,
        }


def script(functions: Iterable[FunctionSpec], target: Target, build: Path) -> str:
    """The whole deployment as a shell script."""
    functions = list(functions)
    lines = ["#!/usr/bin/env bash", "set -euo pipefail", f"export CLOUDSDK_CORE_PROJECT={shlex.quote(target.project)}"]
    enabled = " ".join(f"{service}.googleapis.com" for service in SERVICES)
    lines += ["", "# Services", f"gcloud services enable {enabled}", "", "# Stores", *_stores(target), "", "# Topics"]
    lines += [_unless("pubsub topics", topic, "") for topic in topics_of(functions)]
    lines += ["", "# Secrets that nobody has to know: made once, and kept", *map(_secret, GENERATED)]
    lines += ["", "# Who calls: Scheduler and Pub/Sub"]
    lines += [_account(name) for name in ("scout-scheduler", "scout-pubsub")]
    for function in functions:
        lines += ["", f"# {function.name}: {function.description}", *_function(function, target, build)]
    return "\n".join([*lines, ""])


def _stores(target: Target) -> Iterator[str]:
    location = shlex.quote(target.firestore_location)
    for name in (DEFAULT_DATABASE, DEPLOYED_OPS_DATABASE):
        database = f"--database={shlex.quote(name)}"
        yield _unless("firestore databases", name, f"--location={location}", describe=database, create=database)
    bucket = f"gs://{target.project}-dead-letters"
    options = f"--location={shlex.quote(target.region)} --uniform-bucket-level-access"
    yield _unless("storage buckets", bucket, options)
    yield 'firebase deploy --config infra/generated/firebase.json --only firestore --project "$CLOUDSDK_CORE_PROJECT"'


def _function(function: FunctionSpec, target: Target, build: Path) -> Iterator[str]:
    account = target.account(function.service_account)
    if not function.logs_requests:
        yield _unlogged(function)
    yield _account(function.service_account)
    for role in roles(function):
        yield (
            f'gcloud projects add-iam-policy-binding "$CLOUDSDK_CORE_PROJECT" --condition=None --quiet '
            f"--member=serviceAccount:{account} --role={role}"
        )
    for secret in function.secrets:
        yield (
            f"gcloud secrets add-iam-policy-binding {secret} --quiet --member=serviceAccount:{account} "
            f"--role=roles/secretmanager.secretAccessor"
        )
    for kind, _, names in (resource.partition(":") for resource in function.reads):
        if kind == "secretmanager":
            # Tenants' credentials alone: what a deployment itself needs is named otherwise.
            only = f'resource.name.extract("secrets/{{name}}/").startsWith("{names.rstrip("*")}")'
            yield (
                f'gcloud projects add-iam-policy-binding "$CLOUDSDK_CORE_PROJECT" --quiet '
                f"--condition={shlex.quote(f'title=tenants-credentials,expression={only}')} "
                f"--member=serviceAccount:{account} --role=roles/secretmanager.secretAccessor"
            )
    # `|` occurs in no value; gcloud's own delimiter, the comma, does in the issuers.
    settings = {**target.environment(), "THREADS": str(function.concurrency)}
    environment = "|".join(f"{name}={value}" for name, value in settings.items() if value)
    options = [
        "--gen2",
        "--runtime=python311",
        f"--region={target.region}",
        f"--source={build / function.name}",
        f"--entry-point={function.name}",
        f"--service-account={account}",
        f"--memory={function.memory}",
        f"--concurrency={function.concurrency}",
        "--cpu=1",
        f"--timeout={function.timeout_seconds}s",
        f"--min-instances={function.min_instances}",
        f"--max-instances={function.max_instances}",
        f"--set-env-vars=^|^{environment}",
        "--quiet",
    ]
    if function.secrets:
        options.append("--set-secrets=" + ",".join(f"{name}={name}:latest" for name in function.secrets))
    if target.vpc_connector:
        options.append(f"--vpc-connector={target.vpc_connector}")
    trigger, caller = function.trigger, f"--member=serviceAccount:{target.account('scout-pubsub')}"
    deploy = f"gcloud functions deploy {function.dashed} "
    watched = trigger.firestore.watched(target.databases) if trigger.firestore else ()
    if trigger.firestore is not None:
        # The trigger is made with the function, and needs the right to receive events by then.
        yield (
            'gcloud projects add-iam-policy-binding "$CLOUDSDK_CORE_PROJECT" --condition=None --quiet '
            f"{caller} --role=roles/eventarc.eventReceiver"
        )
        yield _locate(watched[0])
        deploy += '--trigger-location="$location" '
        options += [
            f"--trigger-service-account={target.account('scout-pubsub')}",
            f"--trigger-event-filters=type={trigger.firestore.event}",
            f"--trigger-event-filters=database={watched[0]}",
            f"--trigger-event-filters-path-pattern=document={trigger.firestore.document}",
            *(["--retry"] if function.retry else []),
        ]
    else:
        # The function itself verifies issuer, audience and key of every token (shared/runtime/auth.py).
        options += ["--trigger-http", "--allow-unauthenticated"]
    yield deploy + " ".join(shlex.quote(option) for option in options)
    if trigger.firestore is not None:
        yield (
            f"gcloud run services add-iam-policy-binding {function.dashed} --region={target.region} --quiet "
            f"{caller} --role=roles/run.invoker"
        )
        for database in watched[1:]:
            yield from _further_trigger(function, trigger.firestore, database, target)
    if trigger.topics or trigger.schedules:
        yield (
            f"url=$(gcloud functions describe {function.dashed} --gen2 --region={target.region} "
            "--format='value(serviceConfig.uri)')"
        )
    for topic in trigger.topics:
        yield _unless(
            "pubsub subscriptions",
            function.subscription(topic),
            f'--topic={topic} --push-endpoint="$url" --push-auth-token-audience={AUDIENCE} '
            f"--push-auth-service-account={target.account('scout-pubsub')} "
            "--ack-deadline=600 --min-retry-delay=1s --max-retry-delay=600s --message-retention-duration=7d "
            "--expiration-period=never",
        )
    for schedule in trigger.schedules:
        name = f"{function.dashed}--{schedule.name}"
        described = (
            f'--location={target.region} --schedule={shlex.quote(schedule.cron)} --uri="$url" --http-method=POST '
            f"--message-body={shlex.quote(json.dumps(schedule.body))} "
            f"--oidc-service-account-email={target.account('scout-scheduler')} --oidc-token-audience={AUDIENCE} "
            f"--max-retry-attempts=5 --attempt-deadline={function.timeout_seconds}s"
        )
        json_body = "headers=Content-Type=application/json"
        yield (
            f"gcloud scheduler jobs update http {name} {described} --update-{json_body} 2>/dev/null || "
            f"gcloud scheduler jobs create http {name} {described} --{json_body}"
        )


def _further_trigger(function: FunctionSpec, trigger: FirestoreTrigger, database: str, target: Target) -> Iterator[str]:
    """A function is deployed with one trigger; those of further databases call the service that it is."""
    name = function.trigger_id(database)
    options = [
        f"--destination-run-service={function.dashed}",
        f"--destination-run-region={target.region}",
        f"--event-filters=type={trigger.event}",
        f"--event-filters=database={database}",
        f"--event-filters-path-pattern=document={trigger.document}",
        "--event-data-content-type=application/protobuf",
        f"--service-account={target.account('scout-pubsub')}",
    ]
    at = '--location="$location"'
    yield _locate(database)
    yield _unless("eventarc triggers", name, f"{at} {shlex.join(options)}", describe=f"{name} {at}")


def _locate(database: str) -> str:
    """A trigger lies where its database does; a database that is not there ends the script here."""
    found = f"gcloud firestore databases describe --database={shlex.quote(database)} --format='value(locationId)'"
    return f"location=$({found})"


def roles(function: FunctionSpec) -> list[str]:
    """The roles that a function's declared reads and writes need, and no others."""
    found: dict[str, None] = {}
    for kind, resources in (("reads", function.reads), ("writes", function.writes)):
        for resource in resources:
            found |= dict.fromkeys(ROLES.get((kind, resource.split(":")[0]), ()))
    if "roles/datastore.user" in found:
        found.pop("roles/datastore.viewer", None)
    return list(found)


def _account(name: str) -> str:
    address = f'{name}@"$CLOUDSDK_CORE_PROJECT".iam.gserviceaccount.com'
    return _unless("iam service-accounts", name, "", describe=address)


def _unlogged(function: FunctionSpec) -> str:
    """Leave a function's requests, whose addresses are secret, out of the project's log; what it logs itself stays."""
    left_out = (
        f'resource.type="cloud_run_revision" AND resource.labels.service_name="{function.dashed}" '
        'AND log_id("run.googleapis.com/requests")'
    )
    exclusion = shlex.quote(f"exclusion=name={function.dashed}-requests,filter={left_out}")
    change = "gcloud logging sinks update _Default --quiet"
    return f"{change} --update-{exclusion} 2>/dev/null || {change} --add-{exclusion}"


def _secret(name: str) -> str:
    # Without a line's end, which would become part of it.
    return (
        f"gcloud secrets describe {name} >/dev/null 2>&1 || head -c 32 /dev/urandom | base64 | tr -d '\\n' | "
        f"gcloud secrets create {name} --replication-policy=automatic --data-file=-"
    )


def _unless(kind: str, name: str, options: str, describe: str = "", create: str = "") -> str:
    """Create a resource unless it can be described."""
    made = f"gcloud {kind} create {create or name} {options}".rstrip()
    return f"gcloud {kind} describe {describe or name} >/dev/null 2>&1 || {made}"
