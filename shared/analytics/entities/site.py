"""The site as a whole: its traffic, and what was paid on it."""

from shared.analytics.entities.entity import Entity

SITE: tuple[Entity, ...] = (
    Entity(
        "property",
        "ga_property_totals",
        (
            "users",
            "new_users",
            "sessions",
            "engaged_sessions",
            "pageviews",
            "bounces",
            "conversions",
            "revenue",
        ),
        measure_in="raw.sessions",
        measure_out="metrics.sessions",
    ),
)
