"""Serve every vendor: see server.py."""

import argparse
from datetime import UTC, date, datetime

from aiohttp import web

from infra.local.vendors.server import create_app


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="infra.local.vendors", description="Play every vendor over the sample.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--today", type=date.fromisoformat, default=None, help="sample ends the day before (UTC today)")
    given = parser.parse_args(arguments)
    today = given.today or datetime.now(UTC).date()
    web.run_app(create_app(today), host="127.0.0.1", port=given.port, print=None)


if __name__ == "__main__":
    main()
