"""What the BigQuery emulator translated before: a statement comes again, of other tenants, and to the next emulator.

It parses each statement some twenty-five times, which takes longer than running it on a sample's rows. So those who
parse the same text are given copies of one tree, and translations are kept in a file that every emulator of this
checkout reads.
"""

from __future__ import annotations

import functools
import hashlib
import re
import sqlite3
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import sqlglot
from bqemulator.domain.result import Ok

KEPT = Path(__file__).parents[2] / ".local" / "translations.sqlite"
MOST = 6_000
DATASET = re.compile(r"aso_tenant_\w+")
STAND_IN = re.compile(r"aso_tenant_nth(\d+)")
MADE = re.compile(r"\s*CREATE OR REPLACE TABLE `([^`]+)`")
"""A table that a statement makes anew: whether it was there before changes nothing of what is read."""
TREES = 32
SHORT = 200
"""So few characters are parsed faster than they are looked up."""

Parse = Callable[..., Any]


class Translations:
    """Texts that became other texts, by what they are made of; tenants' datasets are alike."""

    def __init__(self, path: Path | str = KEPT) -> None:
        if isinstance(path, Path):
            path.parent.mkdir(parents=True, exist_ok=True)
        self._kept = sqlite3.connect(path, timeout=60, isolation_level=None, check_same_thread=False)
        # What is lost by a power cut is only translated again.
        self._kept.execute("PRAGMA journal_mode = WAL")
        self._kept.execute("PRAGMA synchronous = OFF")
        self._kept.execute("CREATE TABLE IF NOT EXISTS translations (id BLOB PRIMARY KEY, made TEXT)")
        self._kept.execute("DELETE FROM translations WHERE rowid <= (SELECT MAX(rowid) FROM translations) - ?", (MOST,))
        self._by = f"{version('bqemulator')} {version('sqlglot')}"

    def of(self, text: str, besides: str, make: Callable[[str], str | None]) -> str | None:
        """What becomes of a text and what it depends on besides; None, and not remembered, where `make` says so."""
        names = list(dict.fromkeys(DATASET.findall(text)))
        stand_ins = {name: f"aso_tenant_nth{number}" for number, name in enumerate(names)}
        alike = DATASET.sub(lambda found: stand_ins[found[0]], text)
        key = hashlib.sha256("\0".join((self._by, alike, besides)).encode()).digest()
        found = self._kept.execute("SELECT made FROM translations WHERE id = ?", (key,)).fetchone()
        made = found[0] if found else make(alike)
        if made is None:
            return None
        if not found:
            self._kept.execute("INSERT OR IGNORE INTO translations VALUES (?, ?)", (key, made))
        return STAND_IN.sub(lambda found: names[int(found[1])], made)

    def translate(self, translate: Any) -> Any:
        """The emulator's translation of a statement, which depends on the columns that it reads and on who asks."""

        @functools.wraps(translate)
        def remembered(translator: Any, bq_sql: str, *, schema: Any = None, caller: Any = None, **options: Any) -> Any:
            made = MADE.match(bq_sql)
            read = {name: one for name, one in (schema or {}).items() if made is None or not made[1].endswith(name)}
            unsure: list[Any] = []

            def translated(alike: str) -> str | None:
                result = translate(translator, alike, schema=schema, caller=caller, **options)
                if isinstance(result, Ok):
                    return str(result.value)
                unsure.append(result)
                return None

            text = self.of(bq_sql, f"{read!r} {caller!r}", translated)
            return unsure[0] if text is None else Ok(text)

        return remembered

    def qualify(self, rewrite: Any) -> Any:
        """The emulator's spelling of tables' names, which depends on the project."""

        @functools.wraps(rewrite)
        def remembered(duckdb_sql: str, project_id: str) -> Any:
            return self.of(duckdb_sql, f"tables of {project_id}", lambda alike: str(rewrite(alike, project_id)))

        return remembered


class Trees:
    """sqlglot that parses a text once: those who change a tree get a copy, those who look at it share one."""

    def __init__(self, parse: Parse) -> None:
        self._parse = parse
        self._tree = functools.lru_cache(maxsize=TREES)(lambda sql, read: parse(sql, read=read))

    def copied(self, sql: str, read: Any = None, **options: Any) -> Any:
        """`parse_one` for everybody."""
        if options or not isinstance(read, str) or len(sql) < SHORT:
            return self._parse(sql, read=read, **options)
        return self._tree(sql, read).copy()

    def parse_one(self, sql: str, read: str) -> Any:
        """`parse_one` for those who change nothing: put in sqlglot's place in their modules."""
        return self._tree(sql, read)

    def __getattr__(self, name: str) -> Any:
        return getattr(sqlglot, name)
