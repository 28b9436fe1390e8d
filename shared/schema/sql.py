"""SQL from `.sql` files: names are rendered in, values stay query parameters."""

from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

SHARED = Path(__file__).resolve().parents[1]


@cache
def _environment() -> Environment:
    # SQL, not HTML: nothing here is escaped, and only validated identifiers are ever rendered.
    return Environment(  # noqa: S701
        loader=FileSystemLoader(SHARED), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )


@cache
def _template(path: str) -> Template:
    return _environment().get_template(path)


def render(path: str, **names: Any) -> str:
    """The SQL of `shared/<path>` with names (tables, column lists) filled in; an unknown name raises."""
    return _template(path).render(**names)
