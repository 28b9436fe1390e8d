"""scout: stream, copy, compare, repair and erase, here or in production.

It works on what the environment says, as every function does: `source .local/env` for the local cloud, or
GOOGLE_CLOUD_PROJECT and the rest of docs/settings.md.
"""

from __future__ import annotations

import importlib
import pkgutil

import typer

import infra.cli

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)


@app.callback()
def _scout() -> None:
    """A group even while it has one command."""


def _register() -> None:
    """A module with a function of its own name is a command; one with a typer `app` is a group of them."""
    for found in pkgutil.iter_modules(infra.cli.__path__):
        if found.name.startswith("_") or found.name == "terminal":
            continue
        module = importlib.import_module(f"infra.cli.{found.name}")
        if hasattr(module, "app"):
            app.add_typer(module.app, name=found.name.replace("_", "-"))
        else:
            app.command(name=found.name.replace("_", "-"))(getattr(module, found.name))


def main() -> None:
    """Run the command that the arguments name."""
    _register()
    app(prog_name="scout")


if __name__ == "__main__":
    main()
