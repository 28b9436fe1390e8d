"""Customers, orders and subscriptions: what Stripe tells."""

from shared.analytics.entities.entity import Entity

_QUARTER = 92
"""The longest window of days that detectors of single customers and subscriptions look back is 90."""
_YEAR = 400
"""Plans and cohorts are compared with their last twelve whole months."""
_PAYMENTS = ("stripe_invoices", "stripe_customers")
"""Who paid, and what an invoice says that it was for."""
_SUBSCRIBED = ("stripe_subscription_changes", "stripe_invoices", "stripe_prices")
"""How a subscription came to be what it is."""

_JUDGED = 35
"""Longer than any source takes to settle: for what is judged on its last day alone."""

PAYMENTS: tuple[Entity, ...] = (
    Entity(
        "payment_method",
        "stripe_charges",
        ("charges", "charge_amount", "attributes"),
        keys=("failed_payments", "payment_attempts"),
        reads=_PAYMENTS,
    ),
    Entity(
        "product",
        "stripe_charges",
        ("revenue", "attributes"),
        keys=("orders", "title"),
        reads=(*_PAYMENTS, "stripe_prices"),
    ),
    Entity(
        "first_product",
        "stripe_charges",
        ("attributes",),
        keys=("matured_customers", "repeaters"),
        reads=_PAYMENTS,
        stock_days=_YEAR,
    ),
    Entity(
        "order_cohort",
        "stripe_charges",
        ("attributes",),
        keys=("cohort_age", "cohort_customers", "repeat_customers"),
        reads=_PAYMENTS,
        stock_days=_YEAR,
    ),
    Entity(
        "customer_segment",
        "stripe_customers",
        ("attributes",),
        keys=("matured_customers", "matured_revenue", "segment_dimension"),
        reads=("stripe_charges", "stripe_refunds", "stripe_invoices"),
        stock_days=_QUARTER,
    ),
    Entity(
        "customer",
        "stripe_customers",
        ("mrr", "attributes"),
        keys=(
            "days_since_last",
            "failed_invoices",
            "gap_cv",
            "lifetime_orders",
            "ltv",
            "median_gap",
            "plan_interval",
            "tenure_days",
        ),
        reads=("stripe_charges", "stripe_refunds", "stripe_subscriptions", *_SUBSCRIBED),
        stock_days=_QUARTER,
    ),
    Entity(
        "plan",
        "stripe_subscriptions",
        (
            "mrr",
            "new_mrr",
            "expansion_mrr",
            "contraction_mrr",
            "churned_mrr",
            "active_subscriptions",
            "new_subscriptions",
            "churned_subscriptions",
            "attributes",
        ),
        keys=(
            "canceled_after_failure",
            "downgrades",
            "failed_amount",
            "failed_invoices",
            "moved_mrr",
            "plan_interval",
            "recovered_invoices",
            "title",
            "trials_converted",
            "trials_ended",
        ),
        reads=_SUBSCRIBED,
        stock_days=_YEAR,
    ),
    Entity(
        "subscription",
        "stripe_subscriptions",
        ("mrr", "attributes"),
        keys=("backup_methods", "card_expires_in_days", "renewal_amount", "renews_in_days"),
        reads=_SUBSCRIBED,
        stock_days=_JUDGED,
    ),
    Entity(
        "subscription_cohort",
        "stripe_subscriptions",
        ("attributes",),
        keys=("cohort_age", "cohort_size", "retained_m3"),
        reads=_SUBSCRIBED,
        stock_days=_YEAR,
    ),
)
