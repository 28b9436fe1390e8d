"""scout replay: deliver again what was set aside, once its cause is mended."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from infra.cli.terminal import AGAIN_LATER, REFUSED, AsJson, Yes, answer, confirm, err, progress, rows, working

TIMES = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]


def replay(
    reason: Annotated[str | None, typer.Option(help="Name of the error, as the table shows it.")] = None,
    tenant: Annotated[str | None, typer.Option(help="One tenant's letters only.")] = None,
    function: Annotated[str | None, typer.Option(help="Which function set them aside.")] = None,
    since: Annotated[datetime | None, typer.Option(formats=TIMES, help="Set aside then or later (UTC).")] = None,
    until: Annotated[datetime | None, typer.Option(formats=TIMES, help="Set aside before (UTC).")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="So many letters at most, the newest first.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what waits, and do nothing.")] = False,
    as_json: AsJson = False,
    yes: Yes = False,
) -> None:
    """Deliver again what was set aside: all that waits, or what the options select.

    What fails again waits on with the newest reason. It may be run again at any time: only what still waits is
    delivered. Exit code 1 where something was rejected again, 75 where something is down: then run it again later.
    """
    with working() as clients:
        from shared.ops.dead_letters import Wanted
        from shared.ops.replay import Replayed
        from shared.schema.names import tenant_id

        wanted = Wanted(tenant and tenant_id(tenant), reason, function, _utc(since), _utc(until))
        replays = clients.replay
        reasons = clients.dead_letters.reasons(wanted)
        waiting = sum(reasons.values())
        if dry_run or not waiting:
            answer({"waiting": waiting, "reasons": reasons}, as_json, _reasons(reasons))
            return
        if not yes and not as_json:
            err.print(_reasons(reasons))
        total = min(waiting, limit or waiting)
        confirm(f"Deliver {total:,} of them again?" if total < waiting else "Deliver them again?", yes)
        with progress(quiet=as_json) as shown:
            task = shown.add_task("replaying", total=total)

            def heard(found: Replayed) -> None:
                shown.update(task, completed=found.taken)

            found = replays.run(wanted, limit, heard=heard)
        value: dict[str, Any] = {
            **found.counts(),
            "reasons": dict(found.rejected.most_common()),
            "left": clients.dead_letters.waiting(wanted).count(),
            "stopped": found.stopped and found.stopped.message,
        }
        answer(value, as_json)
        if found.stopped is not None or found.later:
            err.print("some could not be had now: what was replayed stays so; run it again later", markup=False)
            raise typer.Exit(AGAIN_LATER)
        if found.rejected:
            raise typer.Exit(REFUSED)


def _utc(at: datetime | None) -> datetime | None:
    return at and at.replace(tzinfo=UTC)


def _reasons(reasons: dict[str, int]) -> Any:
    if not reasons:
        return "nothing waits"
    return rows(("reason", "waiting"), reasons.items())
