"""Raw rows of Search Console: one document per (day, query, page), with a deterministic id."""

from typing import Literal

from pydantic import Field

from shared.schema.record import Collection, Table
from shared.sources.records.row import RETENTION_DAYS, Measured, SourceRow


class SearchConsoleQuery(SourceRow):
    """What one page of the site was shown and clicked for one search on one day; rare searches are withheld."""

    source: Literal["search_console"] = "search_console"
    site_url: str = Field(description="The property: `https://example.com/` or `sc-domain:example.com`.")
    query: str
    page: str = Field(description="The whole URL.")
    clicks: int = Field(ge=0)
    impressions: int = Field(ge=0)
    ctr: float = Field(ge=0, le=1, description="clicks / impressions.")
    position: float = Field(ge=1, description="Mean over the impressions; 1 is the first.")

    measured = Measured(main="impressions")
    watched = ("query", "page")
    collection = Collection("tenants/{tenant_id}/search_console_queries", indexes=(("query", "date"),))
    table = Table(
        "aso_tenant_{tenant_id}.search_console_queries",
        partition_by="date",
        cluster_by=("query", "page"),
        retention_days=RETENTION_DAYS,
    )
