"""Which entities the ETL makes of which raw table. A new entity type is one entry in its group and one `.sql` file."""

from shared.analytics.entities.ads import ADS
from shared.analytics.entities.data import DATA
from shared.analytics.entities.email import EMAIL
from shared.analytics.entities.entity import Entity, Group, Measure
from shared.analytics.entities.payments import PAYMENTS
from shared.analytics.entities.search import SEARCH
from shared.analytics.entities.site import SITE
from shared.analytics.entities.web import WEB

GROUPS: tuple[Group, ...] = (
    Group("web", WEB),
    Group("site", SITE),
    Group("ads", ADS, aliases=True),
    Group("search", SEARCH, aliases=True),
    Group("email", EMAIL, aliases=True),
    Group("payments", PAYMENTS, aliases=True),
    Group("data", DATA, last=True),
)

ENTITIES: tuple[Entity, ...] = tuple(entity for group in GROUPS for entity in group.entities)

RAW_TABLES: tuple[str, ...] = tuple(dict.fromkeys(table for entity in ENTITIES for table in entity.tables if table))

__all__ = ["ENTITIES", "GROUPS", "RAW_TABLES", "Entity", "Group", "Measure"]
