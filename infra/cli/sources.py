"""How a tenant's sources stand: test their connections, sync them, see what arrived."""

from __future__ import annotations

import getpass
import time
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from infra.cli.terminal import AGAIN_LATER, REFUSED, AsJson, answer, err, out, progress, refuse, rows, working

if TYPE_CHECKING:
    from shared.ops.records import Progress
    from shared.runtime.clients import Clients
    from shared.sources.standing import Standing
    from shared.tenants.records import Tenant

POLL_SECONDS = 0.5
COUNTED_WITHIN_MINUTES = 15
"""The ETL waits for ten minutes for what is on its way before it counts it as lost."""

app = typer.Typer(no_args_is_help=True, help=__doc__)

TenantName = Annotated[str, typer.Argument(help="The tenant's id.", metavar="TENANT")]
SourceName = Annotated[str, typer.Argument(help="ga4, google_ads, search_console, ...", metavar="SOURCE")]


@app.command("list")
def list_(tenant: TenantName, as_json: AsJson = False) -> None:
    """How each source stands: what its credentials open, its last sync, what was lost, and what to do about it."""
    with working() as clients:
        found = _standings(clients, _tenant(clients, tenant))
        columns = ("source", "state", "opens", "last sync", "reported", "came", "lost")
        lines = [(each.name, each.state, each.account, _time(each.synced_at), *_sums(each)) for each in found]
        answer([_plain(each) for each in found], as_json, rows(columns, lines) if found else "it has no sources")
        if not as_json:
            for each in found:
                _tell(each)


@app.command()
def check(tenant: TenantName, source: SourceName, as_json: AsJson = False) -> None:
    """Test a connection: does the source take the tenant's credentials, and what do they open?"""
    with working() as clients:
        from shared.errors import CredentialsRefused

        known = _tenant(clients, tenant)
        try:
            account = clients.sync.check(tenant, _source(source))
        except CredentialsRefused:
            [trouble, *_] = _standing(clients, known, source).troubles
            refuse(trouble.what, _bare(trouble.do))
        answer({"source": source, "state": "connected", "account": account}, as_json, f"connected: {account}")


@app.command()
def sync(
    tenant: TenantName,
    source: SourceName,
    since: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Pull since this day; else since the last sync.")
    ] = None,
    wait: Annotated[
        int, typer.Option(min=0, help="Minutes to wait, once it is pulled, until what arrived is counted.")
    ] = COUNTED_WITHIN_MINUTES,
    as_json: AsJson = False,
) -> None:
    """Ask for a sync, and wait until what it brought has arrived and is counted.

    Interrupted, it goes on by itself. Exit code 1 where the source refused something or something was lost, 75 where it
    is not known yet: then `scout sources list` tells later.
    """
    with working() as clients:
        from shared.sources.messages import SyncAsked

        known = _tenant(clients, tenant)
        asked = SyncAsked(tenant_id=tenant, source=_source(source), since=since and since.date())
        [run_id] = clients.sync.ask(asked, getpass.getuser()).run_ids
        if not as_json:
            err.print(f"run {run_id}", markup=False)
        run = _pulled(clients, run_id, as_json)
        standing = _counted(clients, known, source, run_id, timedelta(minutes=wait if run.status == "done" else 0))
        mine = standing.run_id == run_id
        value = {**_plain(standing), "run_id": run_id, "status": run.status, "error": run.error}
        answer(
            value | ({} if mine else {"ledger": []}), as_json, _ledger(standing) if mine else run.error or run.status
        )
        if not as_json:
            _tell(standing)
        if standing.state == "refused" or (mine and any(each.wrong for each in standing.ledger)):
            raise typer.Exit(REFUSED)
        if run.status == "failed" or not (mine and standing.counted):
            err.print("it is not known yet what arrived; later: scout sources list " + tenant, markup=False)
            raise typer.Exit(AGAIN_LATER)


def _pulled(clients: Clients, run_id: str, quiet: bool) -> Progress:
    """Wait until the source has given everything, or will not."""
    from shared.errors import Unavailable
    from shared.sources.runs import ALIVE

    with progress(quiet) as shown:
        bar = shown.add_task("waiting", total=None)
        while True:
            run = clients.progress.get(run_id)
            if run is None or datetime.now(UTC) - run.updated_at > ALIVE["sync"]:
                raise Unavailable("nothing is heard of the sync any more", run_id=run_id)
            if run.status in ("done", "failed"):
                return run
            shown.update(bar, description=run.step or "waiting", completed=run.done, total=run.total)
            time.sleep(POLL_SECONDS)


def _counted(clients: Clients, tenant: Tenant, source: str, run_id: str, patience: timedelta) -> Standing:
    """Wait until the ETL has looked what became of the documents, or a newer sync began."""
    until = datetime.now(UTC) + patience
    while True:
        standing = _standing(clients, tenant, source)
        if standing.counted or standing.run_id != run_id or datetime.now(UTC) >= until:
            return standing
        time.sleep(POLL_SECONDS)


def _tenant(clients: Clients, tenant: str) -> Tenant:
    from shared.errors import UnknownTenant

    try:
        return clients.tenants.get(tenant)
    except UnknownTenant:
        known = ", ".join(sorted(clients.tenants.ids())) or "none; make tenant TENANT=x"
        refuse(f"no such tenant: {tenant}", f"known: {known}")


def _source(source: str) -> str:
    from shared.sources.catalogue import SOURCES

    if source not in SOURCES:
        refuse(f"no such source: {source}", f"known: {', '.join(SOURCES)}")
    return source


def _standings(clients: Clients, tenant: Tenant) -> list[Standing]:
    from shared.sources.standing import standings

    return standings(clients.ops, tenant, datetime.now(UTC))


def _standing(clients: Clients, tenant: Tenant, source: str) -> Standing:
    return next(each for each in _standings(clients, tenant) if each.name == source)


def _plain(standing: Standing) -> dict[str, Any]:
    return {**asdict(standing), "lost": standing.lost, "counted": standing.counted}


def _sums(standing: Standing) -> tuple[int | None, ...]:
    """Rows that the newest sync reported, those that came, and those that were lost, of all collections together."""
    each = standing.ledger
    if not each:
        return (None,) * 3
    reported = [one.reported for one in each if one.reported is not None]
    return sum(reported) if reported else None, sum(one.written + one.unchanged for one in each), standing.lost


def _ledger(standing: Standing) -> Any:
    columns = ("collection", "reported", "written", "unchanged", "streamed", "refused", "lost")
    lines = [
        (one.collection, one.reported, one.written, one.unchanged, one.arrived, one.refused, one.lost)
        for one in standing.ledger
    ]
    return rows(columns, lines, standing.title)


def _tell(standing: Standing) -> None:
    """What is wrong, and what to do."""
    for trouble in standing.troubles:
        out.print(f"{standing.name}: {trouble.what}", style="bold red", markup=False)
        out.print(f"  {_bare(trouble.do)}", markup=False)


def _bare(advice: str) -> str:
    return advice.replace("`", "")


def _time(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M}" if at else "never"
