"""Keywords and content: what Search Console tells, beside the tenant's own keywords and pieces."""

from shared.analytics.entities.entity import Entity

SEARCH: tuple[Entity, ...] = ()
