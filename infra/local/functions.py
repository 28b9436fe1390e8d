"""Serve every function: one parent imports the libraries, then forks one child per folder.

Usage: python -m infra.local.functions CONFIG.json

Eighteen functions start in a second this way, and share their libraries' memory. No client is built before the
fork: gRPC's threads would not survive it. The parent binds all ports and hands them down, so a function that
dies (tests kill them with -9) keeps its port, and callers wait in its backlog until it is back.
"""

from __future__ import annotations

import gc
import importlib
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import orjson
from pydantic import BaseModel, ConfigDict

from infra.local.ports import HOST
from infra.local.tether import die_with_parent

SHARED_LIBRARIES = (
    "functions_framework",
    "functions_framework.aio",
    "functions_framework._http.gunicorn",
    "uvicorn_worker",
    "google.cloud.firestore",
    "google.cloud.bigquery",
    "google.cloud.bigquery_storage_v1",
    "google.cloud.pubsub_v1",
    "google.cloud.storage",
    "google.events.cloud.firestore_v1",
    "redis",
    "pydantic",
    "pydantic_settings",
    "orjson",
)
BACKLOG = 1024
GRACE_SECONDS = 2
KEEP_ALIVE_SECONDS = 75  # longer than the router keeps a connection, so that none is closed under a request
FIRST_PAUSE_SECONDS = 0.02
LONGEST_PAUSE_SECONDS = 5.0
HEALTHY_AFTER_SECONDS = 2.0


class ServedFunction(BaseModel):
    """One function to serve."""

    model_config = ConfigDict(frozen=True)

    name: str
    folder: Path
    port: int
    concurrency: int
    environment: dict[str, str]
    forbidden: tuple[str, ...] = ()


class FunctionsConfig(BaseModel):
    """What the local cloud tells the parent."""

    model_config = ConfigDict(frozen=True)

    logs: Path
    state: Path
    functions: tuple[ServedFunction, ...]


@dataclass
class Child:
    """A function's process as its parent sees it."""

    function: ServedFunction
    listener: socket.socket
    pid: int = 0
    worker: int = 0
    pipe: int = -1
    starts: int = 0
    started_at: float = 0.0
    due_at: float = 0.0
    quick_deaths: int = 0
    died: str = ""
    reports: bytearray = field(default_factory=bytearray)

    def state(self) -> dict[str, Any]:
        """What functions.json says of it."""
        return {
            "pid": self.pid,
            "worker": self.worker,
            "port": self.function.port,
            "ready": self.worker != 0,
            "starts": self.starts,
            "died": self.died,
        }


class Parent:
    """Forks the children, restarts those that die, ends them when it is told to."""

    def __init__(self, config: FunctionsConfig) -> None:
        self.config = config
        self.children = [Child(function, _listen(function.port)) for function in config.functions]
        self.stopping = False
        self._selector = selectors.DefaultSelector()

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT."""
        wakeup, waker = socket.socketpair()
        wakeup.setblocking(False)
        waker.setblocking(False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
        self._selector.register(wakeup, selectors.EVENT_READ)
        while not self.stopping:
            self._start_due()
            for key, _ in self._selector.select(self._patience()):
                if key.fileobj is wakeup:
                    with suppress(BlockingIOError):
                        wakeup.recv(4096)
                else:
                    self._read(key.data)
            self._reap()
        self._end()

    def _start_due(self) -> None:
        changed = False
        for child in self.children:
            if child.pid == 0 and time.monotonic() >= child.due_at:
                self._fork(child)
                changed = True
        if changed:
            self._write_state()

    def _fork(self, child: Child) -> None:
        reading, writing = os.pipe()
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            die_with_parent(parent)
            os.close(reading)
            serve(child.function, child.listener, writing, self.config.logs)
        os.close(writing)
        child.pid, child.worker, child.pipe = pid, 0, reading
        child.starts += 1
        child.started_at = time.monotonic()
        child.reports.clear()
        self._selector.register(reading, selectors.EVENT_READ, child)

    def _read(self, child: Child) -> None:
        said = os.read(child.pipe, 4096)
        if not said:
            self._forget_pipe(child)
            return
        child.reports += said
        lines = child.reports.split(b"\n")
        if len(lines) > 1:
            child.worker = int(lines[-2])
            child.reports = lines[-1]
            self._write_state()

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for child in self.children:
                if child.pid == pid:
                    self._note_death(child, os.waitstatus_to_exitcode(status))

    def _note_death(self, child: Child, code: int) -> None:
        child.died = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        print(f"{child.function.name} (pid {child.pid}) ended with {child.died}; starting it again", flush=True)
        lived = time.monotonic() - child.started_at
        child.quick_deaths = 0 if child.worker and lived > HEALTHY_AFTER_SECONDS else child.quick_deaths + 1
        pause = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2**child.quick_deaths)
        child.due_at = time.monotonic() + pause
        child.pid = child.worker = 0
        self._forget_pipe(child)
        self._write_state()

    def _forget_pipe(self, child: Child) -> None:
        if child.pipe >= 0:
            self._selector.unregister(child.pipe)
            os.close(child.pipe)
            child.pipe = -1

    def _patience(self) -> float | None:
        due = [child.due_at for child in self.children if child.pid == 0]
        return max(0.0, min(due) - time.monotonic()) if due else None

    def _write_state(self) -> None:
        state = {child.function.name: child.state() for child in self.children}
        temporary = self.config.state.with_suffix(".tmp")
        temporary.write_bytes(orjson.dumps(state, option=orjson.OPT_INDENT_2))
        temporary.replace(self.config.state)

    def _stop(self, number: int, frame: object) -> None:
        self.stopping = True

    def _end(self) -> None:
        signal.set_wakeup_fd(-1)
        running = {child.pid for child in self.children if child.pid}
        for pid in running:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        until = time.monotonic() + GRACE_SECONDS + 1
        while running and time.monotonic() < until:
            for pid in list(running):
                with suppress(ChildProcessError):
                    if os.waitpid(pid, os.WNOHANG)[0] == 0:
                        continue
                running.discard(pid)
            time.sleep(0.02)
        for pid in running:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def serve(function: ServedFunction, listener: socket.socket, reports: int, logs: Path) -> NoReturn:
    """Be the function: runs in the forked child and never returns. Writes its worker's pid to `reports`."""
    code = 1
    try:
        _become(function, logs)
        from functions_framework import create_app
        from functions_framework._http import create_server

        def tether(server: Any, worker: Any) -> None:
            die_with_parent(worker.ppid)

        def report(worker: Any) -> None:
            os.write(reports, b"%d\n" % os.getpid())

        app = create_app(function.name, str(function.folder / "main.py"), "http")
        options: Mapping[str, Any] = {
            "bind": f"fd://{listener.fileno()}",
            "graceful_timeout": GRACE_SECONDS,
            "keepalive": KEEP_ALIVE_SECONDS,
            "control_socket_disable": True,
            "post_fork": tether,
            "post_worker_init": report,
        }
        create_server(app, False, **options).run(HOST, function.port)
        code = 0
    except SystemExit as exit_:
        code = exit_.code if isinstance(exit_.code, int) else 1
    except BaseException:  # noqa: BLE001  (the process ends here: its log must say why)
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _become(function: ServedFunction, logs: Path) -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.set_wakeup_fd(-1)
    log = os.open(logs / f"function-{function.name}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    for name in function.forbidden:
        os.environ.pop(name, None)
    os.environ.update(function.environment)
    os.environ.update(
        FUNCTION_TARGET=function.name,
        K_SERVICE=function.name.replace("_", "-"),
        K_REVISION="local",
        PORT=str(function.port),
        THREADS=str(function.concurrency),
        PYTHONUNBUFFERED="1",
    )
    sys.argv = [f"function {function.name}"]


def _listen(port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((HOST, port))
    listener.listen(BACKLOG)
    listener.set_inheritable(True)
    return listener


def main() -> None:
    """Import the libraries, then serve until a signal ends the process."""
    config = FunctionsConfig.model_validate_json(Path(sys.argv[1]).read_bytes())
    if sys.path[0] != os.getcwd():
        sys.path.insert(0, os.getcwd())
    for library in SHARED_LIBRARIES:
        with suppress(ModuleNotFoundError):
            importlib.import_module(library)
    gc.collect()
    gc.freeze()
    Parent(config).run()


if __name__ == "__main__":
    main()
