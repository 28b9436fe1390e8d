"""The supervisor: a crash is told by name, and nothing survives."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from infra.local.lock import AlreadyRunning, Lock, is_free, wait_until_free
from infra.local.ports import Ports
from infra.local.processes import Part, PartCrashed, Supervisor, tail

ROOT = Path(__file__).parents[3]
SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]
WAIT_SECONDS = 20


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until(true) -> None:
    until = time.monotonic() + WAIT_SECONDS
    while not true():
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.fixture
def supervisor(tmp_path):
    supervisor = Supervisor(tmp_path / "logs")
    yield supervisor
    supervisor.stop()


def test_a_part_that_ends_is_named_with_the_last_lines_of_its_log(supervisor):
    command = [sys.executable, "-c", "print('what went wrong'); raise SystemExit(7)"]
    with pytest.raises(PartCrashed, match="exit code 7") as raised:
        supervisor.start([Part("fine", SLEEP, lambda: True), Part("broken", command, lambda: False)])
    assert raised.value.part == "broken"
    assert "what went wrong" in str(raised.value)


def test_a_part_that_is_killed_later_is_seen(supervisor):
    supervisor.start([Part("fine", SLEEP, lambda: True)])
    supervisor.check()
    os.kill(supervisor.pid("fine"), signal.SIGKILL)
    with pytest.raises(PartCrashed, match="SIGKILL"):
        wait_until(lambda: supervisor.check() and False)


def test_a_part_that_never_gets_ready_is_named(supervisor):
    with pytest.raises(PartCrashed, match="slow was not ready in time"):
        supervisor.start([Part("slow", SLEEP, lambda: False, ready_within_seconds=0.1)])


def test_stop_ends_a_part_that_will_not_listen_and_its_children(supervisor, tmp_path):
    program = (
        "import signal, subprocess, sys, time, pathlib\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"pathlib.Path({str(tmp_path / 'child')!r}).write_text(str(child.pid))\n"
        "time.sleep(600)"
    )
    told = tmp_path / "child"
    part = Part("deaf", [sys.executable, "-c", program], lambda: told.exists() and told.read_text() != "", {}, 20, 0.1)
    supervisor.start([part])
    pids = supervisor.pid("deaf"), int(told.read_text())
    supervisor.stop()
    wait_until(lambda: not any(alive(pid) for pid in pids))


def test_a_restarted_part_is_another_process(supervisor):
    supervisor.start([Part("fine", SLEEP, lambda: True)])
    before = supervisor.pid("fine")
    supervisor.restart("fine")
    assert supervisor.pid("fine") != before
    supervisor.check()


def test_nothing_survives_a_parent_that_is_killed(tmp_path):
    program = (
        "import sys, time, pathlib\n"
        "from infra.local.lock import Lock\n"
        "from infra.local.processes import Part, Supervisor\n"
        f"folder = pathlib.Path({str(tmp_path)!r})\n"
        "lock = Lock(folder / 'lock'); lock.take()\n"
        "supervisor = Supervisor(folder / 'logs'); supervisor.inherited = (lock.descriptor,)\n"
        "supervisor.start([Part('a', [sys.executable, '-c', 'import time; time.sleep(600)'], lambda: True)])\n"
        "print(supervisor.pid('a'), flush=True)\n"
        "time.sleep(600)"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    child = int(parent.stdout.readline())
    assert alive(child)
    assert not is_free(tmp_path / "lock")
    parent.kill()
    parent.wait()
    assert wait_until_free(tmp_path / "lock", WAIT_SECONDS), "the lock is held by whoever is left"
    assert not alive(child)


def test_a_lock_is_taken_once(tmp_path):
    lock, other = Lock(tmp_path / "lock"), Lock(tmp_path / "lock")
    lock.take()
    with pytest.raises(AlreadyRunning):
        other.take()
    lock.release()
    other.take()
    other.release()


def test_the_tail_of_a_log_is_its_last_lines(tmp_path):
    log = tmp_path / "log"
    assert tail(log) == "(no log)"
    log.write_text("\n".join(str(line) for line in range(100)))
    assert tail(log, 3) == "97\n98\n99"


def test_another_port_is_chosen_where_the_usual_one_is_taken():
    first, second = Ports(), Ports()
    usual = first.take(23_456)
    assert second.take(usual) != usual
    first.release()
    second.release()
    third = Ports()
    assert third.take(usual) == usual
    third.release()


def test_processes_side_by_side_can_be_given_ports_of_their_own(monkeypatch):
    monkeypatch.setenv("SCOUT_PORTS", "23500-23510")
    ports = Ports(usual=False)
    taken = [ports.take(0) for _ in range(3)]
    ports.release()
    assert all(23_500 <= port <= 23_510 for port in taken)
