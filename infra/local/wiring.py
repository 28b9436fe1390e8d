"""Registering with the emulators what each function.yaml declares: triggers, topics, subscriptions, the bucket."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx

from infra.functions import DEFAULT_DATABASE, LONGEST_ACK_DEADLINE_SECONDS, FirestoreTrigger, FunctionSpec, topics_of
from infra.local.parts import DEAD_LETTER_BUCKET, PROJECT, Addresses
from infra.local.ports import HOST
from infra.local.router import FENCE

OPS_RULES = Path(__file__).resolve().parents[1] / "generated" / "firestore.ops.rules"
FENCE_DATABASE = "drain"
FENCE_TRIGGER = FirestoreTrigger(databases=(FENCE_DATABASE,), document="fences/{fence}")
OWNER = {"authorization": "Bearer owner"}  # the emulator's word for "no rules"


class Wiring:
    """Talks to the administration side of the emulators."""

    def __init__(self, at: Addresses, databases: Sequence[str] = (DEFAULT_DATABASE,)) -> None:
        self._at = at
        self._databases = databases
        self._http = httpx.Client(timeout=30, trust_env=False)

    def connect(self, functions: Iterable[FunctionSpec]) -> None:
        """Register everything. Existing topics and subscriptions are left as they are."""
        functions = list(functions)
        with ThreadPoolExecutor() as pool:  # the emulators' first answers are slow: ask them side by side
            steps = (self._connect_firestore, self._connect_pubsub)
            pending = [pool.submit(step, functions) for step in steps]
            self.bucket(DEAD_LETTER_BUCKET)
        for step in pending:
            step.result()

    def _connect_firestore(self, functions: list[FunctionSpec]) -> None:
        if OPS_RULES.exists():
            # The emulator's command line takes the rules of one database only.
            self.rules("ops", OPS_RULES)
        self.trigger(FENCE, FENCE_TRIGGER, FENCE_DATABASE)
        for function in functions:
            if trigger := function.trigger.firestore:
                for database in trigger.watched(self._databases):
                    self.trigger(function.trigger_id(database), trigger, database)

    def _connect_pubsub(self, functions: list[FunctionSpec]) -> None:
        for topic in (FENCE, *topics_of(functions)):
            self.topic(topic)
        self.subscription(FENCE, FENCE, "fence")
        for function in functions:
            for topic in function.trigger.topics:
                self.subscription(function.subscription(topic), topic, f"push/{function.name}")

    def rules(self, database: str, file: Path) -> None:
        """Set a Firestore database's security rules."""
        declared = {"rules": {"files": [{"name": file.name, "content": file.read_text()}]}}
        url = f"http://{HOST}:{self._at.firestore}/emulator/v1/projects/{PROJECT}/databases/{database}:securityRules"
        self._done(self._http.put(url, json=declared), f"rules of {database}")

    def trigger(self, name: str, trigger: FirestoreTrigger, database: str) -> None:
        """Have the Firestore emulator post a database's matching writes to the router."""
        pattern = any(mark in trigger.document for mark in "{*")
        declared = {
            "eventType": trigger.event,
            "database": database,
            "namespace": "(default)",
            "document": {
                "value": trigger.document,
                "matchType": "PATH_PATTERN" if pattern else "EXACT",
            },
        }
        url = f"http://{HOST}:{self._at.firestore}/emulator/v1/projects/{PROJECT}/eventarcTrigger"
        self._done(self._http.post(url, params={"eventarcTriggerId": name}, json=declared), f"trigger {name}")

    def topic(self, name: str) -> None:
        """Create a topic."""
        self._put_pubsub(f"topics/{name}", {})

    def subscription(self, name: str, topic: str, path: str) -> None:
        """Create a subscription that pushes a topic's messages to a path of the router."""
        declared = {
            "topic": f"projects/{PROJECT}/topics/{topic}",
            "pushConfig": {"pushEndpoint": f"http://{HOST}:{self._at.router}/{path}"},
            "ackDeadlineSeconds": LONGEST_ACK_DEADLINE_SECONDS,
            "retryPolicy": {"minimumBackoff": "1s", "maximumBackoff": "10s"},
        }
        self._put_pubsub(f"subscriptions/{name}", declared)

    def bucket(self, name: str) -> None:
        """Create a bucket."""
        url = f"http://{HOST}:{self._at.storage}/storage/v1/b"
        self._done(self._http.post(url, params={"project": PROJECT}, json={"name": name}), f"bucket {name}")

    def send_fences(self) -> set[str]:
        """Send one document and one message that arrive after all that was written and published before.

        Of events that is exact: the emulator delivers them one by one. A message shows that pushes are flowing.
        """
        document, message = uuid.uuid4().hex, uuid.uuid4().hex
        url = f"http://{HOST}:{self._at.firestore}/v1/projects/{PROJECT}/databases/{FENCE_DATABASE}/documents/fences"
        self._done(self._http.post(url, params={"documentId": document}, json={"fields": {}}, headers=OWNER), "fence")
        url = f"http://{HOST}:{self._at.pubsub}/v1/projects/{PROJECT}/topics/{FENCE}:publish"
        self._done(self._http.post(url, json={"messages": [{"attributes": {"fence": message}}]}), "fence")
        return {document, message}

    def router_status(self) -> dict[str, Any]:
        """What the router says of itself."""
        answer = self._http.get(f"http://{HOST}:{self._at.router}/status")
        answer.raise_for_status()
        status: dict[str, Any] = answer.json()
        return status

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _put_pubsub(self, resource: str, declared: dict[str, Any]) -> None:
        url = f"http://{HOST}:{self._at.pubsub}/v1/projects/{PROJECT}/{resource}"
        self._done(self._http.put(url, json=declared), resource)

    @staticmethod
    def _done(answer: httpx.Response, what: str) -> None:
        if answer.status_code >= 400 and answer.status_code != 409:
            raise RuntimeError(f"{what} could not be registered: {answer.status_code} {answer.text[:500]}")
