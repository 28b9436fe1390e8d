"""What every command shares: where it works, how it answers, and how it shows that something takes long.

Answers go to standard output, as a table or with --json as one JSON document; everything else goes to standard error.
Exit codes: 0 done; 1 refused, or something was found that should not be; 2 wrong usage; 75 try again later.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import orjson
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from shared.errors import AppError, Unavailable

if TYPE_CHECKING:
    from shared.runtime.clients import Clients

REFUSED = 1
AGAIN_LATER = 75

AsJson = Annotated[bool, typer.Option("--json", help="Answer as one JSON document.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do it without asking.")]

PIPED_WIDTH = 160
"""Columns of tables where no terminal says how wide it is."""
out = Console(soft_wrap=True, highlight=False, width=None if sys.stdout.isatty() else PIPED_WIDTH)
err = Console(stderr=True, soft_wrap=True, highlight=False)


@contextmanager
def working() -> Iterator[Clients]:
    """The clients of the place that the environment names; errors end the command with a sentence and a code."""
    from pydantic import ValidationError

    from shared.runtime.clients import connect

    _require_the_local_cloud()
    try:
        yield connect()
    except ValidationError as error:
        # Never what was given: it may be a secret, or a person's.
        wrong = error.errors(include_url=False, include_input=False, include_context=False)
        named = [(".".join(str(part) for part in entry["loc"]), entry["msg"]) for entry in wrong]
        if error.title == "Settings":
            missing = ", ".join(name for name, _ in named)
            _end(f"not set: {missing}", "for the local cloud: make up, then source .local/env", REFUSED)
        said = "; ".join(f"{name}: {expected}" if name else expected for name, expected in named)
        _end(f"{error.title} is not valid: {said}", "", REFUSED)
    except Unavailable as error:
        _end(_said(error), "try again; what was done is kept", AGAIN_LATER)
    except AppError as error:
        _end(_said(error), "", REFUSED)


def _require_the_local_cloud() -> None:
    """End the command where the environment names a local cloud that has ended: clients would ask it for minutes."""
    at = os.environ.get("FIRESTORE_EMULATOR_HOST", "")
    host, _, port = at.rpartition(":")
    try:
        if port.isdecimal():
            socket.create_connection((host, int(port)), timeout=2).close()
    except OSError:
        _end(f"nothing answers at {at}", "start the local cloud with make up, then source .local/env again", REFUSED)


def refuse(message: str, advice: str = "") -> NoReturn:
    """End the command: it cannot do what was asked."""
    _end(message, advice, REFUSED)


def confirm(question: str, yes: bool) -> None:
    """Ask unless `--yes` was given; without a terminal to ask on, say how."""
    if yes:
        return
    if not sys.stdin.isatty():
        refuse("this needs a yes", "run it again with --yes")
    if not typer.confirm(question, err=True):
        raise typer.Exit(REFUSED)


def answer(value: Any, as_json: bool, table: Table | str | None = None) -> None:
    """Print the answer: the value as JSON, or the table (a sentence, or what the value's fields say)."""
    if as_json:
        sys.stdout.write(orjson.dumps(value, default=_plain, option=orjson.OPT_INDENT_2).decode() + "\n")
    else:
        out.print(table if table is not None else fields(value))


def fields(values: Mapping[str, Any], title: str = "") -> Table:
    """A table of one thing: its fields, one a line."""
    table = Table(title=title or None, title_justify="left", show_header=False)
    for name, value in values.items():
        table.add_row(name.replace("_", " "), _text(value))
    return table


def rows(columns: Sequence[str], values: Iterable[Sequence[Any]], title: str = "") -> Table:
    """A table of many things; columns of numbers are aligned right."""
    table, found = Table(title=title or None, title_justify="left"), [list(row) for row in values]
    for index, name in enumerate(columns):
        held = [row[index] for row in found if row[index] is not None]
        numbers = bool(held) and all(isinstance(value, int | float) for value in held)
        table.add_column(name.replace("_", " "), justify="right" if numbers else "left", overflow="fold")
    for row in found:
        table.add_row(*(_text(value) for value in row))
    return table


@contextmanager
def progress(quiet: bool = False) -> Iterator[Progress]:
    """A progress bar on standard error; nothing where nobody would see it."""
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=err,
        disable=quiet or not err.is_terminal,
        transient=True,
    ) as shown:
        yield shown


def _end(message: str, advice: str, code: int) -> NoReturn:
    err.print(message, style="bold red", markup=False)
    if advice:
        err.print(advice, markup=False)
    raise typer.Exit(code)


def _said(error: AppError) -> str:
    wrong = [(each["field"], f"expected {each['expected']}") for each in error.fields.get("errors", [])]
    told = [*wrong, *((name, _text(value)) for name, value in error.fields.items() if name != "errors")]
    details = ", ".join(f"{name}: {value}" for name, value in told)
    return f"{error.message} ({details})" if details else error.message


def _text(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: ""}[value]
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.2f}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_text(each)}" for name, each in value.items())
    return str(value)


def _plain(value: Any) -> Any:
    return value.model_dump(mode="json") if hasattr(value, "model_dump") else str(value)
