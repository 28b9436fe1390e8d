"""One local cloud per state folder.

Every process of the cloud inherits the lock, so it is free exactly when the last of them has ended.
"""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path


class AlreadyRunning(RuntimeError):
    """Another local cloud, or what is left of one, uses the same folder."""


class Lock:
    """An advisory lock on a file, held by an open descriptor and by all that inherit it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.descriptor = -1

    def take(self) -> None:
        """Take the lock or raise AlreadyRunning."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise AlreadyRunning(f"a local cloud is running with {self.path.parent}") from None
        self.descriptor = descriptor

    def keep(self) -> None:
        """Hold it until this process has ended, whatever `release` says."""
        os.dup(self.descriptor)

    def release(self) -> None:
        """Let go of it. Safe to call twice."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


def is_free(path: Path) -> bool:
    """Whether no process of a cloud is left."""
    if not path.exists():
        return True
    lock = Lock(path)
    try:
        lock.take()
    except AlreadyRunning:
        return False
    lock.release()
    return True


def wait_until_free(path: Path, timeout_seconds: float) -> bool:
    """Whether the last process ended within the time."""
    until = time.monotonic() + timeout_seconds
    while not is_free(path):
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True
