"""The commands of the local cloud: python -m infra.local up | down | run | tenant."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from infra.functions import FunctionSpecError
from infra.local.cloud import ROOT, LocalCloud, provision_tenant
from infra.local.emulators import MissingPrerequisite, find
from infra.local.lock import AlreadyRunning, is_free, wait_until_free
from infra.local.processes import PartCrashed, tail

EXIT_FAILED = 1
EXIT_MISSING = 3
EXIT_INTERRUPTED = 130
START_WITHIN_SECONDS = 180
STOP_WITHIN_SECONDS = 30

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)
console = Console(soft_wrap=True, highlight=False)

State = Annotated[Path, typer.Option(help="Folder of the cloud's files.")]
Functions = Annotated[Path, typer.Option(help="Folder of the functions.")]
Sample = Annotated[str, typer.Option(help="Which sample the GA4 server plays: clean or dirty.")]
Databases = Annotated[
    str,
    typer.Option(envvar="SCOUT_DATABASES", help="Firestore databases to stream besides the declared ones, by blanks."),
]
DEFAULT_STATE = ROOT / ".local"
DEFAULT_FUNCTIONS = ROOT / "functions"


class Ended(BaseException):
    """A signal asked the process to end."""


@app.command()
def up(
    detach: Annotated[bool, typer.Option(help="Return when it is ready; `down` ends it.")] = False,
    state: State = DEFAULT_STATE,
    functions: Functions = DEFAULT_FUNCTIONS,
    sample: Sample = "clean",
    databases: Databases = "",
    scheduler: Annotated[bool, typer.Option(help="Tick the schedules.")] = True,
) -> None:
    """Start the local cloud, empty, and stay until Ctrl-C."""
    _require_emulators()
    if not is_free(state / "lock"):
        _fail("a local cloud is already running here; end it with: make down")
    if detach:
        _detached(state, functions, sample, scheduler, databases)
        _tell_how_to_use(state, "make down")
        return
    with _running(_cloud(state, functions, sample, scheduler, databases)) as cloud:
        _tell_how_to_use(state, "Ctrl-C, or make down")
        _watch(cloud)


@app.command()
def down(state: State = DEFAULT_STATE) -> None:
    """End the local cloud and wait until all its processes are gone."""
    if is_free(state / "lock"):
        console.print("no local cloud is running")
        return
    with suppress(FileNotFoundError, ProcessLookupError, ValueError):
        os.kill(int((state / "pid").read_text()), signal.SIGTERM)
    if not wait_until_free(state / "lock", STOP_WITHIN_SECONDS):
        _fail(f"processes of the local cloud are still running; see {_short(state / 'logs')}")
    (state / "env").unlink(missing_ok=True)
    console.print("the local cloud has ended")


@app.command()
def tenant(tenant_id: str, state: State = DEFAULT_STATE) -> None:
    """Provision a tenant in the running local cloud: dataset, tables, settings. Idempotent."""
    if not (state / "env").exists():
        _fail("no local cloud is running; start one with: make up")
    try:
        provision_tenant(tenant_id, read_env(state / "env"), {})
    except RuntimeError as error:
        _fail(str(error))
    console.print(f"tenant {tenant_id} is ready")


@app.command()
def run(
    once: Annotated[bool, typer.Option(help="Write .local/run-summary.json and exit.")] = False,
    state: State = DEFAULT_STATE,
    functions: Functions = DEFAULT_FUNCTIONS,
    sample: Sample = "clean",
    databases: Databases = "",
) -> None:
    """Start the local cloud, load the sample through the functions, show what flowed where."""
    _require_emulators()
    from infra.local.run import run_sample

    code = EXIT_INTERRUPTED
    with _running(_cloud(state, functions, sample, True, databases)) as cloud:
        code = run_sample(cloud, once=once)
        if not once:
            _watch(cloud)
    if once:
        raise typer.Exit(code)


def write_env(path: Path, environment: dict[str, str]) -> None:
    """Write `export` lines that a shell can source; readable by this user only, for they hold a token."""
    lines = [f"export {name}={shlex.quote(value)}\n" for name, value in sorted(environment.items())]
    # The shell that sources it finds `scout` and the packages too.
    lines.append(f'PATH={shlex.quote(str(Path(sys.executable).parent))}:"$PATH"\n')
    temporary = path.with_suffix(".tmp")
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.writelines(lines)
    temporary.replace(path)


def read_env(path: Path) -> dict[str, str]:
    """Read what `write_env` wrote."""
    words = [shlex.split(line)[1] for line in path.read_text().splitlines() if line.startswith("export ")]
    return dict(word.split("=", 1) for word in words)


@contextmanager
def _running(cloud: LocalCloud) -> Iterator[LocalCloud]:
    """Start `cloud`, show its progress, end it whatever happens."""

    def end(number: int, frame: object) -> NoReturn:
        for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(ignored, signal.SIG_IGN)
        raise Ended

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)
    cloud.state.mkdir(parents=True, exist_ok=True)
    mine = (cloud.state / "env", cloud.state / "pid")
    started = False
    try:
        (cloud.state / "env").unlink(missing_ok=True)
        _start(cloud)
        started = True
        cloud.last_as_long_as_this_process()
        (cloud.state / "pid").write_text(f"{os.getpid()}\n")
        write_env(cloud.state / "env", cloud.env)
        yield cloud
    except AlreadyRunning as error:
        _fail(str(error))
    except (PartCrashed, FunctionSpecError, RuntimeError) as error:
        _fail(str(error))
    except Ended:
        console.print("\nending the local cloud")
        if not started:  # there is nothing to hand to the block: leave by an exception
            raise typer.Exit(EXIT_INTERRUPTED) from None
    finally:
        if started:
            for path in mine:
                path.unlink(missing_ok=True)
        cloud.stop()


def _start(cloud: LocalCloud) -> None:
    with Progress(SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), console=console) as progress:
        task = progress.add_task("starting the local cloud", total=None)

        def ready(name: str, seconds: float) -> None:
            progress.console.print(f"  {seconds:5.1f} s  {name}")

        cloud.start(ready)
        progress.update(task, total=1, completed=1, description="the local cloud is ready")


def _watch(cloud: LocalCloud) -> NoReturn:
    """Until a signal comes: name each function that dies; end with PartCrashed if a part does."""
    known: dict[str, str] = {}
    while True:
        time.sleep(0.5)
        cloud.check()
        for name, death in cloud.deaths().items():
            if known.get(name) != death:
                known[name] = death
                console.print(f"function {name} died ({death}) and was started again; the last lines of its log:")
                console.print(tail(cloud.log(f"function-{name}"), 10), markup=False)


def _cloud(state: Path, functions: Path, sample: str, scheduler: bool, databases: str) -> LocalCloud:
    from infra.local.run import credentials

    try:
        return LocalCloud(
            state,
            functions,
            usual_ports=True,
            scheduler=scheduler,
            sample=sample,
            databases=databases.split(),
            environment=credentials(),
        )
    except FunctionSpecError as error:
        _fail(str(error))


def _detached(state: Path, functions: Path, sample: str, scheduler: bool, databases: str) -> None:
    state.mkdir(parents=True, exist_ok=True)
    (state / "env").unlink(missing_ok=True)
    command = [sys.executable, "-m", "infra.local", "up", "--state", str(state), "--functions", str(functions)]
    command += ["--sample", sample, "--scheduler" if scheduler else "--no-scheduler", "--databases", databases]
    log = state / "up.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
    until = time.monotonic() + START_WITHIN_SECONDS
    with console.status("starting the local cloud"):
        while not (state / "env").exists():
            if process.poll() is not None:
                console.print(tail(log, 40), markup=False)
                raise typer.Exit(process.returncode or EXIT_FAILED)
            if time.monotonic() > until:
                process.terminate()
                _fail(f"the local cloud was not ready in time; see {_short(log)}")
            time.sleep(0.05)
    # How to use it is said by who asked, once.
    console.print(tail(log, 40).partition("use it:")[0].rstrip(), markup=False)


def _require_emulators() -> None:
    """Exit with code 3 where something is missing, after offering to install it."""
    try:
        find()
        return
    except MissingPrerequisite as missing:
        console.print(str(missing), markup=False)
        if not (sys.stdin.isatty() and typer.confirm("Run this command now?")):
            raise typer.Exit(EXIT_MISSING) from None
        subprocess.run(["/bin/sh", "-c", missing.command], check=False)
    try:
        find()
    except MissingPrerequisite as missing:
        console.print(str(missing), markup=False)
        raise typer.Exit(EXIT_MISSING) from None


def _tell_how_to_use(state: Path, ending: str) -> None:
    console.print(f"use it:  source {_short(state / 'env')}")
    console.print(f"logs:    {_short(state / 'logs')}")
    console.print(f"end it:  {ending}")


def _short(path: Path) -> str:
    with suppress(ValueError):
        return str(path.resolve().relative_to(Path.cwd()))
    return str(path)


def _fail(message: Any) -> NoReturn:
    console.print(str(message), markup=False)
    raise typer.Exit(EXIT_FAILED)


if __name__ == "__main__":
    app()
