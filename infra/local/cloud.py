"""The local cloud as one object: what `make up`, `make run` and the tests start.

with LocalCloud(state=tmp_path) as cloud:
    httpx.post(cloud.url("sync_source"), json=..., headers=cloud.auth())
    cloud.drain()
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from secrets import token_urlsafe
from types import TracebackType
from typing import Any, Self

from infra.functions import FunctionSpec, load_functions, streamed_databases
from infra.local import emulators, parts
from infra.local.functions import FunctionsConfig, ServedFunction
from infra.local.issuer import OPERATOR, TokenIssuer
from infra.local.lock import Lock
from infra.local.ports import HOST, Ports
from infra.local.processes import Part, PartCrashed, Supervisor
from infra.local.router import RoutedFunction, RouterConfig
from infra.local.wiring import Wiring

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "infra" / "generated" / "firestore.rules"
QUIET_SECONDS = 0.5
SAMPLE_SETTINGS = {"sources": {"ga4": {"property_id": "properties/213025502"}}}
Progress = Callable[[str, float], None]


class LocalCloud:
    """Starts and ends a local cloud whose files lie in `state`; `only` names the functions to serve, if not all.

    databases: Firestore databases that are streamed besides those that declarations name.
    """

    def __init__(
        self,
        state: Path = ROOT / ".local",
        functions: Path = ROOT / "functions",
        *,
        usual_ports: bool = False,
        scheduler: bool = False,
        sample: str = "clean",
        only: Collection[str] | None = None,
        databases: Collection[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.state = state.resolve()
        found = load_functions(functions)
        self.functions: list[FunctionSpec] = [spec for spec in found if only is None or spec.name in only]
        self.databases = streamed_databases(databases)
        self.seconds: dict[str, float] = {}
        self._usual_ports, self._scheduler, self._sample = usual_ports, scheduler, sample
        self._extra = dict(environment or {})
        self._env: dict[str, str] = {}
        self._lock = Lock(self.state / "lock")
        self._supervisor = Supervisor(self.state / "logs")
        self._wiring: Wiring | None = None
        self._issuer: TokenIssuer | None = None

    # --- life ----------------------------------------------------------------------------------------------------

    def start(self, progress: Progress = lambda name, seconds: None) -> Self:
        """Start everything and return when it is ready.

        Raises MissingPrerequisite, AlreadyRunning (another cloud has the same `state`) or PartCrashed.
        """
        found = emulators.find()
        began = time.monotonic()
        self._lock.take()
        self._supervisor.inherited = (self._lock.descriptor,)
        try:
            return self._start(found, began, progress)
        except BaseException:
            self.stop()
            raise

    def _start(self, found: emulators.Emulators, began: float, progress: Progress) -> Self:
        self._clean()
        ports = Ports(self._usual_ports)
        at = parts.Addresses.take(ports, self.functions)
        self._issuer = TokenIssuer.create(self.state / "issuer-key.pem", f"http://{HOST}:{at.router}/issuer")
        self._env = at.environment() | {"SCOUT_TOKEN_ISSUERS": self._issuer.setting()}
        # A new one each time: no hash outlives the stores of a run.
        self._env["SCOUT_HASH_KEY"] = os.environ.get("SCOUT_HASH_KEY") or token_urlsafe(32)
        self._env |= {"SCOUT_DATABASES": " ".join(self.databases), **self._extra}
        self._env["DEV_TOKEN"] = self.token()
        rules = RULES if RULES.exists() else None
        started = [*parts.stores(found, at, self.state, rules), parts.vendors(at, self._sample)]
        started += [parts.router(at, self._write_router_config(at))]
        if self.functions:
            started += [self._functions_part(at)]
        ports.release()
        self._wiring = Wiring(at, self.databases)
        try:
            self._supervisor.start(started, self._note(progress))
        except parts.FunctionFailed as failure:
            log = self._supervisor.log(f"function-{failure.name}")
            raise PartCrashed(f"function {failure.name}", "ended before it could serve", log) from None
        self._step("triggers, topics, subscriptions", began, progress, self._connect)
        self.seconds["all"] = time.monotonic() - began
        return self

    def stop(self) -> None:
        """End every process. Safe to call twice."""
        self._supervisor.stop()
        if self._wiring is not None:
            self._wiring.close()
            self._wiring = None
        self._lock.release()

    def last_as_long_as_this_process(self) -> None:
        """Count this process among those of the cloud: the folder is free when it has ended too."""
        self._lock.keep()

    def check(self) -> None:
        """Raise PartCrashed if a part is no longer running."""
        self._supervisor.check()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    # --- what one asks of it ---------------------------------------------------------------------------------------

    @property
    def env(self) -> dict[str, str]:
        """The variables by which clients find the parts: the same that the functions get."""
        return dict(self._env)

    def url(self, function: str) -> str:
        """Where a function is served."""
        return self._env[f"FUNCTION_URL_{function.upper()}"]

    def token(self, email: str = OPERATOR, tenant_id: str | None = None, lifetime_seconds: int = 12 * 3600) -> str:
        """A signed token: an operator's, or a person's of one tenant."""
        if self._issuer is None:
            raise RuntimeError("the local cloud is not started")
        return self._issuer.issue(email, tenant_id, lifetime_seconds)

    def auth(self, email: str = OPERATOR, tenant_id: str | None = None) -> dict[str, str]:
        """The header that carries such a token."""
        return {"Authorization": f"Bearer {self.token(email, tenant_id)}"}

    def status(self) -> dict[str, Any]:
        """What the router received, delivered and still holds."""
        if self._wiring is None:
            raise RuntimeError("the local cloud is not started")
        return self._wiring.router_status()

    def drain(self, timeout: float = 60, quiet_seconds: float = QUIET_SECONDS) -> dict[str, Any]:
        """Wait until every event and message has been handled; the router's last status.

        A fence passes through each emulator; then nothing may be on its way nor arrive for `quiet_seconds`.
        Raises TimeoutError with what is still outstanding.
        """
        until = time.monotonic() + timeout
        while True:
            before = self._pass_fences(until)
            activity, since = before["activity"], time.monotonic()
            while True:
                status = self.status()
                if status["activity"] != activity or not status["idle"]:
                    activity, since = status["activity"], time.monotonic()
                if time.monotonic() - since >= quiet_seconds:
                    break
                self._in_time(until, status)
                time.sleep(0.03)
            if activity == before["activity"]:
                return status

    def tenant(self, tenant_id: str, **settings: Any) -> None:
        """Provision a tenant: its dataset, tables and settings. Idempotent.

        Its GA4 source is the sample's property unless `settings` (those of provision_tenant) say otherwise.
        """
        provision_tenant(tenant_id, self._env, settings)

    def deaths(self) -> dict[str, str]:
        """The functions that died since the start and were started again: how the last time, and how often."""
        seen = parts.functions_state(self.state / "functions.json")
        return {name: f"{child['died']}, {child['starts'] - 1}x" for name, child in seen.items() if child["died"]}

    # --- for tests that break things -----------------------------------------------------------------------------

    def function_pids(self, function: str) -> tuple[int, int]:
        """The process of a function and its worker."""
        state = parts.functions_state(self.state / "functions.json")[function]
        return state["pid"], state["worker"]

    def kill_function(self, function: str) -> int:
        """Kill a function with -9, worker included. It comes back on the same port. Returns the pid it had."""
        pid, _ = self.function_pids(function)
        os.kill(pid, signal.SIGKILL)
        return pid

    def restart_part(self, name: str) -> None:
        """Kill a part with -9 and start it again on the same port (the emulators forget what they held)."""
        self._supervisor.restart(name)

    def log(self, part: str) -> Path:
        """The log of a part; `function-<name>` for a function."""
        return self._supervisor.log(part)

    # --- inside --------------------------------------------------------------------------------------------------

    def _clean(self) -> None:
        """Forget the last run: its stores are gone, so its events mean nothing any more."""
        self.state.mkdir(parents=True, exist_ok=True)
        for folder in ("journal", "storage", "logs"):
            shutil.rmtree(self.state / folder, ignore_errors=True)
        for file in ("functions.json", "router.config.json", "functions.config.json"):
            (self.state / file).unlink(missing_ok=True)
        for folder in ("storage", "logs"):
            (self.state / folder).mkdir()

    def _write_router_config(self, at: parts.Addresses) -> Path:
        config = RouterConfig(
            port=at.router,
            journal=self.state / "journal",
            issuer_key=self.state / "issuer-key.pem",
            issuer_url=f"http://{HOST}:{at.router}/issuer",
            scheduler=self._scheduler,
            functions=tuple(
                RoutedFunction(
                    name=function.name,
                    triggers=tuple(map(function.trigger_id, trigger.watched(self.databases))) if trigger else (),
                    url=self.url(function.name),
                    concurrency=function.concurrency,
                    retry=function.retry,
                    timeout_seconds=function.timeout_seconds,
                    schedules=function.trigger.schedules,
                )
                for function in self.functions
                for trigger in (function.trigger.firestore,)
            ),
        )
        path = self.state / "router.config.json"
        path.write_text(config.model_dump_json(indent=1))
        return path

    def _functions_part(self, at: parts.Addresses) -> Part:
        secrets = {name for function in self.functions for name in function.secrets}
        private = {"DEV_TOKEN"}  # an outside caller's; no function holds one in production either
        environment = {name: value for name, value in self._env.items() if name not in private}
        config = FunctionsConfig(
            logs=self.state / "logs",
            state=self.state / "functions.json",
            functions=tuple(
                ServedFunction(
                    name=function.name,
                    folder=function.folder,
                    port=at.functions[function.name],
                    concurrency=function.concurrency,
                    environment={},
                    forbidden=tuple(sorted(secrets - set(function.secrets)) + sorted(private)),
                )
                for function in self.functions
            ),
        )
        path = self.state / "functions.config.json"
        path.write_text(config.model_dump_json(indent=1))
        names = [function.name for function in self.functions]
        return parts.functions_parent(path, self.state / "functions.json", environment, names)

    def _connect(self) -> None:
        assert self._wiring is not None
        self._wiring.connect(self.functions)

    def _pass_fences(self, until: float) -> dict[str, Any]:
        assert self._wiring is not None
        fences = self._wiring.send_fences()
        while True:
            status = self.status()
            if fences <= set(status["fences"]):
                return status
            self._in_time(until, status)
            time.sleep(0.02)

    def _in_time(self, until: float, status: dict[str, Any]) -> None:
        self.check()
        if time.monotonic() > until:
            raise TimeoutError(f"not drained; the router says: {status}")

    def _step(self, name: str, began: float, progress: Progress, step: Callable[[], None]) -> None:
        step()
        self.seconds[name] = time.monotonic() - began
        progress(name, self.seconds[name])

    def _note(self, progress: Progress) -> Progress:
        def note(name: str, seconds: float) -> None:
            self.seconds[name] = seconds
            progress(name, seconds)

        return note


def provision_tenant(tenant_id: str, environment: Mapping[str, str], settings: Mapping[str, Any]) -> None:
    """Run production's own provisioning against the cloud of `environment`, in a process of its own."""
    command = [sys.executable, "-m", "infra.provision", tenant_id, json.dumps({**SAMPLE_SETTINGS, **settings})]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(f"tenant {tenant_id} could not be provisioned:\n{(done.stderr or done.stdout)[-4000:]}")
