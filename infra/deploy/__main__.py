"""Deploy the functions: python -m infra.deploy --project P --region R [--apply].

Without --apply it writes build/deploy.sh, to be read; with it, it runs that.
"""

import shlex
import subprocess
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from infra.deploy.plan import Target, roles, script
from infra.deploy.stage import ROOT, stage
from infra.functions import FunctionSpecError, load_functions, streamed_databases

console = Console()


def main(
    project: Annotated[str, typer.Option(help="Google Cloud project.")],
    region: Annotated[str, typer.Option(help="Region of the functions.")] = "us-central1",
    firestore_location: Annotated[str, typer.Option(help="Location of Firestore where it is made anew.")] = "nam5",
    databases: Annotated[str, typer.Option(help="Firestore databases to stream, by blanks.")] = "",
    redis_url: Annotated[str, typer.Option(help="Address of the cache (Redis 7 or newer); empty: none.")] = "",
    vpc_connector: Annotated[str, typer.Option(help="VPC connector by which functions reach the cache.")] = "",
    apply: Annotated[bool, typer.Option(help="Run it.")] = False,
) -> None:
    """Stage every function and write, or run, what deploys them."""
    try:
        functions, streamed = load_functions(ROOT / "functions"), streamed_databases(databases.split())
    except FunctionSpecError as error:
        console.print(str(error), markup=False)
        raise typer.Exit(2) from None
    build = ROOT / "build"
    table = Table("function", "memory", "concurrency", "roles", title=f"To {project}, {region}", title_justify="left")
    for function in functions:
        stage(function, build)
        table.add_row(function.name, function.memory, str(function.concurrency), "\n".join(roles(function)))
    target = Target(project, region, firestore_location, redis_url, vpc_connector, streamed)
    path = build / "deploy.sh"
    path.write_text(script(functions, target, Path("build")))
    # The settings of the functions, for commands such as infra.provision: both must mean the same datasets.
    settings = (f"export {name}={shlex.quote(value)}\n" for name, value in target.environment().items() if value)
    (build / "env").write_text("".join(settings))
    path.chmod(0o755)
    console.print(table)
    if not apply:
        console.print("Read build/deploy.sh, then run it from here, or say APPLY=1.")
        return
    raise typer.Exit(subprocess.run([str(path)], cwd=ROOT, check=False).returncode)


if __name__ == "__main__":
    typer.run(main)
