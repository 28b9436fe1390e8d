"""Run a command that dies with the process that started it, even when that one is killed with -9.

Usage: python tether.py PARENT_PID COMMAND [ARGUMENT...]. It becomes the command, so the process id stays.
It imports nothing of Scout: it runs in isolated mode, before everything else.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def die_with_parent(parent: int) -> None:
    """Ask the kernel to kill this process when its parent ends. A no-op where there is no prctl."""
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it ended between the fork and the request
        os._exit(1)


if __name__ == "__main__":
    die_with_parent(int(sys.argv[1]))
    os.execvp(sys.argv[2], sys.argv[2:])  # noqa: S606
