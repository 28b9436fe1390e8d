"""Free ports of this machine, the usual ones first."""

from __future__ import annotations

import os
import random
import socket

HOST = "127.0.0.1"
FIRST, LAST = 12_000, 30_000  # below the range from which the kernel takes outgoing ports
RANGE = "SCOUT_PORTS"
"""Environment variable that narrows that range, `12000-20999`: of processes that start clouds side by side, each its
own. A port is free for a moment between `release` and whoever binds it."""


class Ports:
    """Hands out ports and holds each until `release`, so that no other cloud is given the same."""

    def __init__(self, usual: bool = True) -> None:
        self.usual = usual
        self._held: list[socket.socket] = []
        self._random = random.SystemRandom()
        first, _, last = os.environ.get(RANGE, f"{FIRST}-{LAST}").partition("-")
        self._range = int(first), int(last)

    def take(self, usual: int) -> int:
        """`usual` if it is free and wanted, else any free port."""
        if self.usual and self._hold(usual):
            return usual
        for _ in range(1000):
            port = self._random.randint(*self._range)
            if self._hold(port):
                return port
        raise RuntimeError("no free port found")

    def release(self) -> None:
        """Let go of all ports; whoever was given them binds them next."""
        for held in self._held:
            held.close()
        self._held.clear()

    def _hold(self, port: int) -> bool:
        held = socket.socket()
        try:
            held.bind((HOST, port))
        except OSError:
            held.close()
            return False
        self._held.append(held)
        return True


def answers(port: int) -> bool:
    """Whether something listens at `port`."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex((HOST, port)) == 0
