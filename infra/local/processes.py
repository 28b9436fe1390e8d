"""The processes of the local cloud: started together, watched, and ended without a trace.

Each part is its own session with its own log. It is tethered to the thread that started it
(PR_SET_PDEATHSIG acts on threads), so one thread that lives as long as the supervisor starts them all.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

TETHER = Path(__file__).with_name("tether.py")
TAIL_LINES = 20


class PartCrashed(RuntimeError):
    """A part ended, or never became ready; the message carries the last lines of its log."""

    def __init__(self, part: str, what: str, log: Path) -> None:
        self.part, self.what, self.log = part, what, log
        super().__init__(f"{part} {what}; the last lines of {log}:\n{tail(log)}")


@dataclass(frozen=True)
class Part:
    """One process of the local cloud. `ready` says whether it answers; `grace_seconds` is what it gets to end."""

    name: str
    command: Sequence[str]
    ready: Callable[[], bool]
    environment: Mapping[str, str] = field(default_factory=dict)
    ready_within_seconds: float = 90
    grace_seconds: float = 5


class Supervisor:
    """Starts parts, waits until they are ready, tells which one crashed, ends them all."""

    def __init__(self, logs: Path) -> None:
        self.logs = logs
        self.inherited: tuple[int, ...] = ()  # file descriptors that each part keeps open
        self._parts: dict[str, Part] = {}
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="local-cloud-starter")
        self._lock = threading.Lock()
        self._stopping = False

    def start(self, parts: Sequence[Part], ready: Callable[[str, float], None] = lambda name, seconds: None) -> None:
        """Start all parts at once and return when each is ready. Raises PartCrashed."""
        self.logs.mkdir(parents=True, exist_ok=True)
        began = time.monotonic()
        for part in parts:
            self.log(part.name).unlink(missing_ok=True)
            self._spawn(part)
        waiting = list(parts)
        while waiting:
            for part in list(waiting):
                if part.ready():
                    waiting.remove(part)
                    ready(part.name, time.monotonic() - began)
                elif time.monotonic() - began > part.ready_within_seconds:
                    raise PartCrashed(part.name, "was not ready in time", self.log(part.name))
            self.check()
            time.sleep(0.03)

    def restart(self, name: str) -> None:
        """Kill one part with -9 and start it again on the same port."""
        self.kill(name)
        part = self._parts[name]
        self._spawn(part)
        until = time.monotonic() + part.ready_within_seconds
        while not part.ready():
            self.check()
            if time.monotonic() > until:
                raise PartCrashed(name, "was not ready in time", self.log(name))
            time.sleep(0.03)

    def kill(self, name: str) -> None:
        """Kill one part with -9, with all that it started."""
        with self._lock:
            process = self._running.pop(name)
        _signal_group(process, signal.SIGKILL)
        process.wait()

    def check(self) -> None:
        """Raise PartCrashed for the first part that is no longer running."""
        with self._lock:
            running = dict(self._running)
        for name, process in running.items():
            status = process.poll()
            if status is not None:
                raise PartCrashed(name, f"ended with {_meaning(status)}", self.log(name))

    def stop(self) -> None:
        """End all parts: asked first, killed after their grace. Safe to call twice."""
        if self._stopping:
            return
        self._stopping = True
        self._starter.submit(lambda: None).result()  # whatever it was starting is noted now
        with self._lock:
            running, self._running = self._running, {}
        for process in running.values():
            with suppress(ProcessLookupError):
                process.terminate()  # the leader only: it ends its own children in its own way
        began = time.monotonic()
        for name, process in running.items():
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=max(0.0, began + self._parts[name].grace_seconds - time.monotonic()))
            _signal_group(process, signal.SIGKILL)
            process.wait()
        self._starter.shutdown()

    def log(self, name: str) -> Path:
        """Where a part's output goes."""
        return self.logs / f"{name}.log"

    def pid(self, name: str) -> int:
        """The process id of a running part."""
        return self._running[name].pid

    def _spawn(self, part: Part) -> None:
        self._starter.submit(self._popen, part).result()

    def _popen(self, part: Part) -> None:
        """Start a part and note it, both in the starter's thread: a signal to the caller cannot part the two."""
        if self._stopping:
            return
        with self.log(part.name).open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(TETHER), str(os.getpid()), *part.command],
                env={**os.environ, **part.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=self.inherited,
            )
        with self._lock:
            self._parts[part.name] = part
            self._running[part.name] = process


def tail(log: Path, lines: int = TAIL_LINES) -> str:
    """The last lines of a log, or a word on why there are none."""
    if not log.exists():
        return "(no log)"
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 64_000))
        text = file.read().decode(errors="replace")
    return "\n".join(text.splitlines()[-lines:]) or "(empty)"


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _meaning(status: int) -> str:
    return f"signal {signal.Signals(-status).name}" if status < 0 else f"exit code {status}"
