"""scout repair: mend what a verification found, and nothing else."""

from __future__ import annotations

from typing import Annotated

import typer

from infra.cli.terminal import AsJson, Yes, confirm, progress, working
from infra.cli.verify import SHOWN, carried_on, show


def repair(
    run_id: Annotated[str, typer.Argument(help="The run of scout verify.")],
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Repair what a verification found; each document is looked at again. Exit code 1: something is left."""
    from shared.comparison.comparer import DIFFERENCES

    with working() as clients:
        found = clients.reconciler.get(run_id)
        if found.status == "comparing":
            found = carried_on(clients.reconciler, run_id, quiet=as_json)
        number = sum(found.counts.get(kind, 0) for kind in DIFFERENCES)
        if number:
            confirm(f"Repair {number:,} documents of {found.subject}?", yes)
            with progress(as_json) as bar:
                bar.add_task("repairing", total=None)
                found = clients.reconciler.repair(run_id)
        show(found, list(clients.reconciler.differences(run_id, SHOWN)), as_json)
