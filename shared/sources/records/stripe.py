"""Raw objects of Stripe, one document each: the vendor's id is the document's, and `date` the UTC day it was made.

Money is in the currency's own unit (12.34 dollars, 1234 yen): the adapter converts it once, exactly. All but
disputes is kept for ever: what a customer is worth, and who is new, is told by all that was ever paid, which is little
beside what is counted by day.
"""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from shared.schema.record import Collection, Hashed, Immutable, Json, Key, Personal, Table
from shared.sources.records.row import RETENTION_DAYS, Measured, SourceRow

Money = Annotated[Decimal, Field(max_digits=38, decimal_places=9)]
"""An amount that a NUMERIC column holds."""
Interval = Literal["day", "week", "month", "year"]


class StripeRow(SourceRow):
    """What every object of Stripe carries."""

    source: Literal["stripe"] = "stripe"
    created_at: Immutable[datetime]


class StripeChargeLine(BaseModel):
    """One thing that a charge was for, where the merchant told Stripe (a payment intent's amount details)."""

    product_id: str | None = Field(None, description="The merchant's own code of it.")
    product_name: str | None = None
    quantity: int | None = None
    unit_amount: Money | None = None
    discount_amount: Money | None = None


class StripeCharge(StripeRow):
    """One attempt to take money: `status` says whether it succeeded, is pending, or failed."""

    charge_id: Key[str]
    customer_id: str | None = Field(None, description="None of a guest.")
    payment_intent_id: str | None = Field(None, description="The attempts of one payment share it; invoices name it.")
    currency: str = Field(description="Three capital letters.")
    amount: Money
    amount_captured: Money
    amount_refunded: Money
    discount_amount: Money | None = Field(
        None, description="What was taken off before, where the merchant told Stripe."
    )
    status: str = Field(description="succeeded, pending or failed.")
    paid: bool
    captured: bool
    refunded: bool = Field(description="In full.")
    disputed: bool
    failure_code: str | None = None
    outcome_type: str | None = Field(None, description="authorized, issuer_declined, blocked, invalid, manual_review.")
    payment_method_type: str | None = Field(None, description="card, sepa_debit, paypal, ...")
    card_brand: str | None = None
    wallet_type: str | None = Field(None, description="apple_pay, google_pay, link, ...")
    country: str | None = Field(None, description="Of the billing address, else of the card: two capital letters.")
    email: Hashed[str] | None = Field(None, description="Of the receipt, else of the billing details; lower case.")
    product_id: str | None = Field(None, description="`product_id`, `product` or `sku` of its metadata.")
    lines: list[StripeChargeLine] = []
    metadata: Personal[Json] = Field(default_factory=dict)

    measured = Measured(main="amount", revenue="amount", amount="amount", currency="currency")
    watched = ("customer_id", "email", "payment_method_type", "product_id")
    collection = Collection("tenants/{tenant_id}/stripe_charges")
    table = Table(
        "aso_tenant_{tenant_id}.stripe_charges",
        partition_by="date",
        cluster_by=("customer_id", "charge_id"),
    )


class StripeRefund(StripeRow):
    """One refund of a charge, or of a part of it."""

    refund_id: Key[str]
    charge_id: str | None = None
    payment_intent_id: str | None = None
    currency: str = Field(description="Three capital letters.")
    amount: Money
    status: str | None = Field(None, description="pending, requires_action, succeeded, failed or canceled.")
    reason: str | None = Field(None, description="duplicate, fraudulent, requested_by_customer, ...")

    measured = Measured(main="amount", amount="amount", currency="currency")
    collection = Collection("tenants/{tenant_id}/stripe_refunds")
    table = Table(
        "aso_tenant_{tenant_id}.stripe_refunds",
        partition_by="date",
        cluster_by=("charge_id",),
    )


class StripeDispute(StripeRow):
    """One charge that its payer disputes."""

    dispute_id: Key[str]
    charge_id: str | None = None
    payment_intent_id: str | None = None
    currency: str = Field(description="Three capital letters.")
    amount: Money
    status: str = Field(description="needs_response, under_review, won, lost, warning_..., prevented.")
    reason: str | None = Field(None, description="fraudulent, product_not_received, duplicate, ...")

    measured = Measured(main="amount", amount="amount", currency="currency")
    collection = Collection("tenants/{tenant_id}/stripe_disputes")
    table = Table(
        "aso_tenant_{tenant_id}.stripe_disputes",
        partition_by="date",
        cluster_by=("charge_id",),
        retention_days=RETENTION_DAYS,
    )


class StripeCustomer(StripeRow):
    """One customer. Deleted ones keep their id and days, and nothing that tells who it was."""

    customer_id: Key[str]
    email: Hashed[str] | None = Field(None, description="Lower case.")
    country: str | None = Field(None, description="Of the address, else of the shipping address: two capital letters.")
    currency: str | None = Field(None, description="Three capital letters.")
    delinquent: bool = Field(False, description="The latest charge of an invoice failed.")
    deleted_at: datetime | None = None
    metadata: Personal[Json] = Field(default_factory=dict)

    watched = ("email", "country")
    collection = Collection("tenants/{tenant_id}/stripe_customers")
    table = Table(
        "aso_tenant_{tenant_id}.stripe_customers",
        partition_by="date",
        cluster_by=("customer_id",),
    )


class StripePrice(StripeRow):
    """One price of a product; a recurring one is what people call a plan."""

    price_id: Key[str]
    product_id: str
    product_name: str | None = None
    nickname: str | None = None
    active: bool
    currency: str = Field(description="Three capital letters.")
    unit_amount: Money | None = Field(None, description="None of a tiered price.")
    billing_interval: Interval | None = Field(None, description="None of what is sold once.")
    interval_count: int | None = None
    usage_type: str | None = Field(None, description="licensed or metered.")
    monthly_price: Money | None = Field(None, description="Of one unit; none of a metered or tiered price.")
    metadata: Json = Field(default_factory=dict)

    collection = Collection("tenants/{tenant_id}/stripe_prices")
    table = Table(
        "aso_tenant_{tenant_id}.stripe_prices",
        partition_by="date",
        cluster_by=("product_id", "price_id"),
    )


class StripeSubscriptionItem(BaseModel):
    """One price that a subscription pays, and how many times."""

    item_id: str
    price_id: str
    product_id: str | None = None
    billing_interval: Interval | None = None
    interval_count: int | None = None
    unit_amount: Money | None = Field(None, description="None of a tiered price.")
    quantity: int | None = Field(None, description="None of a metered price.")


class StripeSubscribed(StripeRow):
    """What a subscription pays for. `price_id` and what follows are its dearest item's."""

    subscription_id: Key[str]
    customer_id: str
    status: str = Field(description="trialing, active, past_due, unpaid, paused, canceled, incomplete, ..._expired.")
    currency: str = Field(description="Three capital letters.")
    items: list[StripeSubscriptionItem] = []
    price_id: str | None = None
    product_id: str | None = None
    billing_interval: Interval | None = None
    interval_count: int | None = None
    quantity: int | None = None
    monthly_price: Money = Field(description="All items brought to a month, whatever the status; before discounts.")
    mrr: Money = Field(description="monthly_price while active or past_due, else 0.")
    trial_start_at: datetime | None = None
    trial_end_at: datetime | None = None
    canceled_at: datetime | None = Field(None, description="When it was asked for; it may run until ended_at.")
    ended_at: datetime | None = None
    cancellation_reason: str | None = Field(
        None, description="cancellation_requested, payment_failed or payment_disputed."
    )

    measured = Measured(amount="mrr", currency="currency")
    watched = ("price_id",)


class StripeSubscription(StripeSubscribed):
    """One subscription as it is now."""

    started_at: datetime
    cancel_at: datetime | None = None
    cancel_at_period_end: bool = False
    cancellation_feedback: str | None = None
    current_period_start_at: datetime | None = None
    current_period_end_at: datetime | None = Field(None, description="When it renews: the earliest of its items.")
    renewal_amount: Money = Field(description="What its items cost when they renew, each for its own interval.")
    collection_method: str | None = Field(None, description="charge_automatically or send_invoice.")
    latest_invoice_id: str | None = None
    payment_method_type: str | None = Field(None, description="Of its own method of payment, else its customer's.")
    card_exp_year: int | None = None
    card_exp_month: int | None = Field(None, description="A card expires at the end of this month.")
    backup_methods: int | None = Field(
        None, description="Its customer's other methods; counted where the card expires before it renews."
    )
    metadata: Json = Field(default_factory=dict)

    collection = Collection("tenants/{tenant_id}/stripe_subscriptions")
    table = Table(
        "aso_tenant_{tenant_id}.stripe_subscriptions",
        partition_by="date",
        cluster_by=("customer_id", "subscription_id"),
    )


class StripeSubscriptionChange(StripeSubscribed):
    """A subscription as one event left it; never changes. Stripe tells events of the last 30 days.

    `date` is the UTC day of the event, `created_at` the subscription's. Of one second are first created, then updated,
    then deleted.
    """

    change_id: Key[str] = Field(description="The id of the event.")
    event_type: str = Field(description="customer.subscription.created, .updated, .deleted, .paused or .resumed.")
    changed_at: Immutable[datetime]
    previous_status: str | None = Field(None, description="Before an update; none where the event does not say.")
    previous_mrr: Money | None = Field(None, description="Before an update; none where the event does not say.")

    collection = Collection("tenants/{tenant_id}/stripe_subscription_changes")
    table = Table(
        "aso_tenant_{tenant_id}.stripe_subscription_changes",
        partition_by="date",
        cluster_by=("subscription_id",),
    )


class StripeInvoiceLine(BaseModel):
    """One line of an invoice; the interval of its price is the price's (`stripe_prices`)."""

    line_id: str
    item_id: str | None = Field(None, description="The subscription's item that it is of; its price may change.")
    price_id: str | None = None
    product_id: str | None = None
    subscription_id: str | None = None
    recurring: bool = Field(description="A subscription's item for a whole period: no proration, nothing sold once.")
    proration: bool
    quantity: int | None = None
    amount: Money = Field(description="Before discounts and exclusive taxes; below zero where it is given back.")
    discount_amount: Money
    period_start_at: datetime
    period_end_at: datetime


class StripeInvoice(StripeRow):
    """One invoice with its lines."""

    invoice_id: Key[str]
    customer_id: str | None = None
    subscription_id: str | None = None
    payment_intent_ids: list[str] = Field([], description="Of the payments made for it: charges carry the same.")
    status: str | None = Field(None, description="draft, open, paid, uncollectible, void, or deleted (a draft).")
    billing_reason: str | None = Field(
        None, description="subscription_create, subscription_cycle, subscription_update, manual, ..."
    )
    collection_method: str | None = Field(None, description="charge_automatically or send_invoice.")
    currency: str = Field(description="Three capital letters.")
    subtotal: Money
    discount_amount: Money
    total: Money
    amount_due: Money
    amount_paid: Money
    amount_remaining: Money
    attempted: bool
    attempt_count: int
    finalized_at: datetime | None = None
    failed_at: datetime | None = Field(
        None, description="When its first payment failed: the one that Stripe tries when it is finalized."
    )
    next_attempt_at: datetime | None = None
    paid_at: datetime | None = None
    voided_at: datetime | None = None
    uncollectible_at: datetime | None = None
    lines: list[StripeInvoiceLine] = []

    measured = Measured(amount="total", currency="currency")
    watched = ("customer_id",)
    collection = Collection("tenants/{tenant_id}/stripe_invoices")
    table = Table(
        "aso_tenant_{tenant_id}.stripe_invoices",
        partition_by="date",
        cluster_by=("customer_id", "subscription_id"),
    )
