"""`make run`: load the sample through the functions and show what flowed where."""

from __future__ import annotations

from infra.local.cloud import LocalCloud


def run_sample(cloud: LocalCloud, *, once: bool) -> int:
    """Load the sample, wait until all of it has arrived, print what flowed where; the exit code."""
    raise NotImplementedError
