"""scout migrate: bring tables that exist to what is declared now."""

from __future__ import annotations

from typing import Annotated

import typer

from infra.cli.terminal import AsJson, answer, err, rows, working


def migrate(
    tenant: Annotated[str, typer.Option(help="One tenant only; otherwise all, and what is everybody's.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what is pending; change nothing.")] = False,
    confirm: Annotated[str, typer.Option(help="A migration: remove the tables that it kept as they were.")] = "",
    as_json: AsJson = False,
) -> None:
    """Apply the pending migrations in order (docs/schema-evolution.md); one that fails stops the rest."""
    from shared.errors import NotFound

    with working() as clients:
        if tenant and clients.documents.get(f"tenants/{tenant}") is None:
            raise NotFound("no such tenant", field="--tenant", expected="a provisioned tenant")
        if confirm:
            gone = clients.migrations.confirm(confirm)
            answer({"removed": gone}, as_json, rows(("removed",), [(name,) for name in gone]))
            return
        if dry_run:
            pending = clients.migrations.pending(tenant or None)
            table = rows(
                ("migration", "target", "does", "left"),
                [(each.migration_id, each.target, each.note, dict(each.left)) for each in pending],
            )
            answer(
                [
                    {"migration": each.migration_id, "target": each.target, "note": each.note, "left": dict(each.left)}
                    for each in pending
                ],
                as_json,
                table if pending else "nothing is pending",
            )
            return
        applied = []
        for each in clients.migrations.apply(tenant or None):
            applied.append(each)
            err.print(f"{each.migration_id} {each.target}: {each.status}", markup=False)
        table = rows(
            ("migration", "target", "status", "did", "kept"),
            [(each.migration_id, each.target, each.status, each.counts, ", ".join(each.kept)) for each in applied],
        )
        answer([each.model_dump(mode="json") for each in applied], as_json, table if applied else "nothing was pending")
