"""Serve every vendor: see server.py."""

import argparse
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, date, datetime

from aiohttp import web

from infra.local.sample.sample import Variant
from infra.local.vendors import ga4_data_api
from infra.local.vendors.server import VENDORS, create_app


@dataclass(frozen=True)
class Ga4:
    """The Data API over one variant of its sample."""

    variant: Variant
    NAME: str = ga4_data_api.NAME
    FAULTS: Collection[str] = ga4_data_api.FAULTS

    def routes(self, today: date) -> list[web.RouteDef]:
        return ga4_data_api.routes(today, self.variant)

    def error(self, status: int) -> web.Response:
        return ga4_data_api.error(status)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="infra.local.vendors", description="Play every vendor over the sample.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--sample", choices=("clean", "dirty"), default="clean", help="which sample GA4 gives")
    parser.add_argument("--today", type=date.fromisoformat, default=None, help="sample ends the day before (UTC today)")
    given = parser.parse_args(arguments)
    today = given.today or datetime.now(UTC).date()
    web.run_app(create_app(today, [Ga4(given.sample), *VENDORS]), host="127.0.0.1", port=given.port, print=None)


if __name__ == "__main__":
    main()
