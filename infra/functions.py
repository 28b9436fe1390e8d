"""What each function declares in the `function.yaml` beside its main.py.

The local cloud and the deployment read the same model, so that what runs here is what is deployed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Self

import yaml
from croniter import croniter
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)

from shared.schema.registry import streamed_records
from shared.streaming.streams import declared_patterns

DEFAULT_DATABASE = "(default)"
OPS_DATABASE = "ops"
DEPLOYED_OPS_DATABASE = "scout-ops"
"""Google's databases have ids of at least four characters; the emulator takes shorter ones."""
LONGEST_ACK_DEADLINE_SECONDS = 600  # of every subscription: a push answered later comes again, without end
FunctionName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9]*(_[a-z0-9]+)*$", max_length=48)]
TopicName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{2,99}$")]
ScheduleName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{1,99}$")]
SecretName = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9_]*$")]
DatabaseName = Annotated[str, StringConstraints(pattern=r"^(\(default\)|[a-z][a-z0-9-]{2,61}[a-z0-9])$")]
AccountName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{4,28}[a-z0-9]$")]


class FunctionSpecError(ValueError):
    """A function.yaml that cannot be used; the message names the file and the field."""


class _Declared(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FirestoreTrigger(_Declared):
    """Writes of documents that match a path pattern; a trigger watches one database, so there is one for each."""

    databases: tuple[DatabaseName, ...] = ()
    """Empty: those that the deployment streams, the same for every function that leaves it out."""
    event: Annotated[
        str, StringConstraints(pattern=r"^google\.cloud\.firestore\.document\.v1\.\w+(\.withAuthContext)?$")
    ] = "google.cloud.firestore.document.v1.written"
    document: str = "{document=**}"

    def watched(self, streamed: Sequence[str]) -> tuple[str, ...]:
        """The databases whose writes it hears, where the deployment streams `streamed`."""
        return tuple(dict.fromkeys(self.databases or streamed))


class Schedule(_Declared):
    """A body that is posted to the function whenever the clock (UTC) matches."""

    name: ScheduleName
    cron: str
    body: dict[str, Any] = Field(default_factory=dict)

    @field_validator("cron")
    @classmethod
    def _is_cron(cls, cron: str) -> str:
        if len(cron.split()) != 5 or not croniter.is_valid(cron):
            raise ValueError(f"{cron!r} is not a cron expression of five fields")
        return cron


class Trigger(_Declared):
    """Who calls the function."""

    http: bool = False
    firestore: FirestoreTrigger | None = None
    topics: tuple[TopicName, ...] = ()
    schedules: tuple[Schedule, ...] = ()

    @model_validator(mode="after")
    def _has_a_caller(self) -> Self:
        others = self.http or bool(self.topics) or bool(self.schedules)
        if self.firestore is not None and others:
            raise ValueError("`firestore` excludes http, topics and schedules")
        if self.firestore is None and not others:
            raise ValueError("at least one of http, firestore, topics, schedules is needed")
        return self


class FunctionSpec(_Declared):
    """One Cloud Function: its triggers, its limits and what it may touch."""

    name: FunctionName
    folder: Path
    description: Annotated[str, StringConstraints(min_length=1, pattern=r"^[^\n]+$")]
    trigger: Trigger
    retry: bool = True
    memory: Annotated[str, StringConstraints(pattern=r"^[1-9]\d*(Mi|Gi)$")] = "512Mi"
    concurrency: Annotated[int, Field(ge=1, le=1000)] = 80
    timeout_seconds: Annotated[int, Field(ge=1, le=3600)] = 60
    min_instances: Annotated[int, Field(ge=0)] = 0
    max_instances: Annotated[int, Field(ge=1, le=1000)] = 20
    logs_requests: bool = True
    """False where addresses carry secrets: the platform's own log of requests, which has them, leaves it out."""
    service_account: AccountName
    secrets: tuple[SecretName, ...] = ()
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()

    @property
    def dashed(self) -> str:
        """The name where underscores are not allowed: triggers, subscriptions, services."""
        return self.name.replace("_", "-")

    def trigger_id(self, database: str) -> str:
        """The name of the Firestore trigger through which writes of `database` reach this function."""
        return self.dashed if database == DEFAULT_DATABASE else f"{self.dashed}--{database}"

    def subscription(self, topic: str) -> str:
        """The name of the push subscription through which `topic` reaches this function."""
        return f"{self.dashed}--{topic}"


def streamed_databases(given: Iterable[str] = ()) -> tuple[str, ...]:
    """The databases whose writes are streamed: those that declared records and patterns name, and those given.

    FunctionSpecError for what names no database, and for `ops`, where Scout's own writes would call Scout for ever.
    """
    declared = {record.collection.database for record in streamed_records() if record.collection is not None}
    declared |= {pattern.database for pattern in declared_patterns()}
    found = tuple(dict.fromkeys((DEFAULT_DATABASE, *sorted(declared), *given)))
    for database in (OPS_DATABASE, DEPLOYED_OPS_DATABASE):
        if database in found:
            raise FunctionSpecError(f"databases: {database} holds Scout's own state and is not streamed")
    for database in found:
        try:
            TypeAdapter(DatabaseName).validate_python(database)
        except ValidationError:
            raise FunctionSpecError(f"databases: {database!r} is not a Firestore database's name") from None
    return found


def load_functions(folder: Path) -> list[FunctionSpec]:
    """Read every function.yaml below `folder`, in the order of their names."""
    found = sorted(path.parent for path in folder.glob("*/main.py"))
    orphans = sorted(path for path in folder.glob("*/function.yaml") if path.parent not in found)
    if orphans:
        raise FunctionSpecError(f"{orphans[0]}: there is no main.py beside it")
    return [load_function(path) for path in found]


def load_function(folder: Path) -> FunctionSpec:
    """Read the function.yaml of one folder. Raises FunctionSpecError naming the file and the field."""
    path = folder / "function.yaml"
    try:
        declared = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        raise FunctionSpecError(f"{path}: missing; every function declares its triggers there") from None
    except yaml.YAMLError as error:
        raise FunctionSpecError(f"{path}: not YAML: {error}") from error
    if not isinstance(declared, dict):
        raise FunctionSpecError(f"{path}: expected a mapping of fields")
    for given in ("name", "folder"):
        if given in declared:
            raise FunctionSpecError(f"{path}: {given}: is taken from the folder, leave it out")
    try:
        return FunctionSpec(name=folder.name, folder=folder.resolve(), **declared)
    except ValidationError as error:
        reasons = "; ".join(_reason(problem["loc"], problem["msg"]) for problem in error.errors())
        raise FunctionSpecError(f"{path}: {reasons}") from error


def topics_of(functions: Iterable[FunctionSpec]) -> list[str]:
    """Every topic that some function listens to or declares that it writes (`pubsub:<topic>`)."""
    listened = {topic for function in functions for topic in function.trigger.topics}
    written = {
        resource.removeprefix("pubsub:")
        for function in functions
        for resource in function.writes
        if resource.startswith("pubsub:") and "*" not in resource and "{" not in resource
    }
    return sorted(listened | written)


def _reason(location: tuple[int | str, ...], message: str) -> str:
    return f"{'.'.join(str(part) for part in location) or 'file'}: {message.removeprefix('Value error, ')}"
