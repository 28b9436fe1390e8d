"""Tests side by side: a file's tests stay together, as they share an emulator, and workers share no ports."""

import os

import hypothesis
import pytest

from infra.local.ports import FIRST, LAST, RANGE

# How long an example takes says something of the machine's load, and nothing of the code.
hypothesis.settings.register_profile("scout", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("scout")

TOGETHER = {"end_to_end": "end_to_end"}
"""Folders whose files share one local cloud."""


def pytest_configure(config: pytest.Config) -> None:
    worker = getattr(config, "workerinput", None)
    if worker is not None:
        width = (LAST - FIRST) // worker["workercount"]
        first = FIRST + width * int(worker["workerid"].removeprefix("gw"))
        os.environ[RANGE] = f"{first}-{first + width - 1}"


LONGEST_FIRST = ("end_to_end", "integration")
"""Folders whose files take long: begun first, so that no worker ends with one of them alone."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.parent.name not in LONGEST_FIRST)
    for item in items:
        group = TOGETHER.get(item.path.parent.name, f"{item.path.parent.name}/{item.path.name}")
        item.add_marker(pytest.mark.xdist_group(group))
