"""Content pieces and the keywords that they are to be found for: the tenant's own, no source's raw rows."""

from datetime import date as Day
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, Field, TypeAdapter

from shared.schema.record import Caches, Collection, Immutable, Key, Namespace, Record, Table

STATS = Namespace("aso_stats:{tenant_id}", ttl_seconds=300)


class SerpCheck(BaseModel, frozen=True):
    """Where a keyword stood on one day, and with which page."""

    date: Day
    position: float | None = Field(None, gt=0, description="None where it was looked for and did not rank.")
    url: str | None = None


class CompetitorRanking(BaseModel, frozen=True):
    """Where a competitor stood for a keyword when it was looked for."""

    competitor: str = Field(description="Its domain.")
    position: float | None = Field(None, gt=0, description="None where it did not rank.")
    date: Day | None = Field(None, description="When it was looked for; None where nobody said.")


# Any: a JSON column, which a list of models would not be; a document whose list is of another shape is refused.
SerpHistory = Annotated[Any, AfterValidator(TypeAdapter(list[SerpCheck]).validate_python)]
CompetitorRankings = Annotated[Any, AfterValidator(TypeAdapter(list[CompetitorRanking]).validate_python)]


class ContentPiece(Record):
    """One page that the tenant publishes: a hub, or a spoke of one."""

    content_id: Key[str]
    tenant_id: str
    content_type: Literal["hub", "spoke"]
    keyword_primary: str
    keyword_secondary: list[str] = []
    hub_id: str | None = Field(None, description="content_id of its hub; None of a hub.")
    title: str
    meta_description: str | None = None
    url: str | None = None
    word_count: int | None = Field(None, ge=0)
    status: Literal["draft", "published", "archived"] = "draft"
    performance_score: float | None = None
    ranking_position: int | None = Field(None, ge=1, description="Of its primary keyword.")
    monthly_traffic: int | None = Field(None, ge=0, description="Visits a month.")
    monthly_conversions: int | None = Field(None, ge=0)
    conversion_rate: float | None = Field(None, ge=0)
    created_at: Immutable[datetime]
    published_at: datetime | None = None
    updated_at: datetime | None = None

    collection = Collection("tenants/{tenant_id}/content_pieces")
    table = Table(
        "aso_tenant_{tenant_id}.content_pieces", partition_by="created_at", cluster_by=("status", "content_type")
    )
    caches = Caches(Namespace("aso_content:{tenant_id}", ttl_seconds=120), STATS)


class Keyword(Record):
    """One phrase that the tenant wants to be found for: what people know of it, and where it ranks."""

    keyword: Key[str]
    tenant_id: str
    search_volume: int | None = Field(None, ge=0, description="Searches a month.")
    difficulty_score: float | None = Field(None, ge=0, le=100)
    kgr_score: float | None = Field(
        None, ge=0, description="Keyword Golden Ratio: pages with all its words in the title / search_volume."
    )
    intent: Literal["informational", "commercial", "transactional"] | None = None
    current_ranking: int | None = Field(None, ge=1, description="At the last check; None where it did not rank.")
    best_ranking: int | None = Field(None, ge=1)
    target_ranking: int | None = Field(None, ge=1)
    serp_history: SerpHistory | None = Field(
        [], description="[{date, position, url}], oldest first, the newest 90 checks."
    )
    competitor_rankings: CompetitorRankings | None = Field(
        [], description="[{competitor, position, date}], oldest first."
    )
    # Changes with each check: a merge is not pruned by it, a reader's query is.
    last_checked: datetime | None = Field(None, description="Midnight (UTC) of the day that the last check is of.")
    priority: Literal["tier1", "tier2", "tier3"] | None = None
    content_id: str | None = Field(None, description="The content piece that answers it.")
    created_at: Immutable[datetime]

    collection = Collection("tenants/{tenant_id}/keywords")
    table = Table("aso_tenant_{tenant_id}.keywords", partition_by="last_checked", cluster_by=("priority", "intent"))
    caches = Caches(Namespace("aso_keywords:{tenant_id}", ttl_seconds=180), STATS)
