"""What is promised of every command of `scout`: a make target of its name, an answer in JSON, a line of help."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer

from infra.cli import __main__ as scout

ROOT = Path(__file__).parents[3]
PROMISED = {"status", "sources", "backfill", "verify", "repair", "replay", "adopt", "erase", "migrate"}


def commands() -> dict[str, Any]:
    """The commands by their names, as `scout --help` lists them."""
    scout._register()
    group: Any = typer.main.get_command(scout.app)
    return dict(group.commands)


COMMANDS = commands()


def leaves(command: Any) -> list[Any]:
    """The command itself, or those of its group."""
    return list(command.commands.values()) if hasattr(command, "commands") else [command]


def test_there_is_each_command_that_is_promised():
    assert COMMANDS.keys() >= PROMISED


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_each_command_is_a_make_target_of_the_same_name_that_hands_its_arguments_over(name):
    made = subprocess.run(  # noqa: S603
        ["make", "--no-print-directory", "--dry-run", "--assume-old=.venv/.installed", name, "ARGS=an argument"],  # noqa: S607
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert made.stdout.splitlines()[-1].endswith(f"/scout {name} an argument")
    makefile = (ROOT / "Makefile").read_text()
    assert re.search(rf"^{name}:.*## \S", makefile, re.M), "make help lists it"
    assert name in re.findall(r"^\.PHONY: (.*)$", makefile, re.M)[0].split()


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_each_command_takes_json_and_says_what_it_does(name):
    for command in leaves(COMMANDS[name]):
        assert "--json" in {option for parameter in command.params for option in parameter.opts}, command.name
        assert command.help, command.name
