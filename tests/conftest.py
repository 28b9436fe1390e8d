"""Tests side by side: a file's tests stay together, as they share an emulator, and workers share no ports."""

import os
from typing import Any

import hypothesis
import pytest
from xdist.scheduler import LoadScopeScheduling

from infra.local.ports import FIRST, LAST, RANGE

# How long an example takes says something of the machine's load, and nothing of the code.
hypothesis.settings.register_profile("scout", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("scout")

END_TO_END = "tests/end_to_end"
ORDER = ("end_to_end", "integration")
"""Unit tests come before these folders, as some read the day when they are collected, and it may end meanwhile; the
end-to-end tests come next, which take long, so that no worker ends with them alone.
"""


class ByFile(LoadScopeScheduling):
    """Gives whole files to workers; the end-to-end tests, which share one local cloud, to one worker."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.split("::", 1)[0]
        return END_TO_END if file.startswith(END_TO_END) else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    return ByFile(config, log)


def pytest_configure(config: pytest.Config) -> None:
    worker = getattr(config, "workerinput", None)
    if worker is not None:
        width = (LAST - FIRST) // worker["workercount"]
        first = FIRST + width * int(worker["workerid"].removeprefix("gw"))
        os.environ[RANGE] = f"{first}-{first + width - 1}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {name: place for place, name in enumerate(ORDER, 1)}
    items.sort(key=lambda item: places.get(item.path.parent.name, 0))
