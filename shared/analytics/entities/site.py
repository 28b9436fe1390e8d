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
            "charges",
            "charge_amount",
            "refunds",
            "refund_amount",
            "disputes",
            "attributes",
        ),
        keys=(
            "discount_amount",
            "discounted_orders",
            "discounted_revenue",
            "disputed_amount",
            "duplicate_purchases",
            "duplicate_revenue",
            "ltv_90d",
            "new_customers",
            "orders",
            "purchase_events",
            "repeat_orders",
        ),
        reads=(
            "ga_funnel_events",
            "ga_repeated_transactions",
            "stripe_charges",
            "stripe_refunds",
            "stripe_disputes",
            "stripe_customers",
            "stripe_invoices",
        ),
        measure_in="raw.sessions",
        measure_out="metrics.sessions",
        adds_up=(
            ("stripe_charges", "IF(raw.status = 'succeeded' AND raw.captured, 1, 0)", "metrics.charges"),
            (
                "stripe_refunds",
                "IF(COALESCE(raw.status, 'succeeded') IN ('succeeded', 'pending'), 1, 0)",
                "metrics.refunds",
            ),
            (
                "stripe_disputes",
                "IF(STARTS_WITH(raw.status, 'warning_') OR raw.status = 'prevented', 0, 1)",
                "metrics.disputes",
            ),
        ),
        # Where Google Analytics begins decides of the days before it.
        late_days=40,
    ),
)
