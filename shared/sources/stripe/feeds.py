"""What Scout pulls of Stripe: each kind of object, the events that say that one changed, and what becomes of it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from shared.sources.records import (
    StripeCharge,
    StripeCustomer,
    StripeDispute,
    StripeInvoice,
    StripePrice,
    StripeRefund,
    StripeSubscription,
    StripeSubscriptionChange,
)
from shared.sources.source import Feed
from shared.sources.stripe.invoices import invoice
from shared.sources.stripe.objects import Ask, Given, charge, customer, dispute, price, refund
from shared.sources.stripe.subscriptions import subscription

EVENTS = "/v1/events"
EVENTS_DAYS = 29
"""Stripe keeps events for 30 days; one less, as the first of them fades while it is read."""


@dataclass(frozen=True)
class Touch:
    """Which objects of a feed an event is about: the one whose id is in a field of the event's own object.

    by: those that the feed's list gives by that id, instead. where: only if one of these fields changed.
    """

    field: str = "id"
    by: str = ""
    where: tuple[str, ...] = ()


OWN = Touch()


def own(prefix: str, names: str) -> dict[str, Touch]:
    """Events about an object of the feed itself."""
    return {f"{prefix}.{name}": OWN for name in names.split()}


@dataclass(frozen=True)
class ObjectFeed(Feed):
    """One kind of object: `document` makes its fields.

    expand: what comes with it instead of its id. parameters: of its list. lives: it is of use long after its day, so
    that a first sync takes all there are. touched: types of events -> whom they are about.
    deleted: the event of one that is no more. Its document stays, with `once_deleted` of that time.
    """

    mutable: bool = True
    path: str = ""
    document: Callable[[Given, Ask], dict[str, Any]] = charge
    expand: tuple[str, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    lives: bool = False
    touched: Mapping[str, Touch] = field(default_factory=dict)
    deleted: str = ""
    once_deleted: Callable[[datetime], dict[str, Any]] = lambda at: {}

    @property
    def events(self) -> list[str]:
        """Types of the events to look for: at most the 20 that Stripe lets ask for at once."""
        return [*self.touched, *([self.deleted] if self.deleted else [])]


@dataclass(frozen=True)
class ChangeFeed(Feed):
    """Changes of subscriptions: the events themselves."""

    mutable: bool = True
    events: tuple[str, ...] = tuple(own("customer.subscription", "created updated deleted paused resumed"))


CHARGES = ObjectFeed(
    StripeCharge,
    path="/v1/charges",
    document=charge,
    expand=("payment_intent.amount_details.line_items",),
    touched=own("charge", "succeeded failed pending captured expired refunded updated")
    | dict.fromkeys(("charge.dispute.created", "charge.dispute.closed"), Touch("charge")),
)
REFUNDS = ObjectFeed(
    StripeRefund,
    path="/v1/refunds",
    document=refund,
    touched=own("refund", "created updated failed") | {"charge.refunded": Touch(by="charge")},
)
DISPUTES = ObjectFeed(
    StripeDispute,
    path="/v1/disputes",
    document=dispute,
    touched=own("charge.dispute", "created updated closed funds_withdrawn funds_reinstated"),
)
CUSTOMERS = ObjectFeed(
    StripeCustomer,
    path="/v1/customers",
    document=customer,
    lives=True,
    touched=own("customer", "created updated"),
    deleted="customer.deleted",
    once_deleted=lambda at: {"deleted_at": at, "email": None, "country": None, "metadata": {}},
)
PRICES = ObjectFeed(
    StripePrice,
    path="/v1/prices",
    document=price,
    expand=("product",),
    lives=True,
    touched=own("price", "created updated") | {"product.updated": Touch(by="product")},
    deleted="price.deleted",
    once_deleted=lambda at: {"active": False},
)
SUBSCRIPTIONS = ObjectFeed(
    StripeSubscription,
    path="/v1/subscriptions",
    document=subscription,
    expand=(
        "default_payment_method",
        "default_source",
        "customer.default_source",
        "customer.invoice_settings.default_payment_method",
    ),
    parameters={"status": "all"},
    lives=True,
    touched=own("customer.subscription", "created updated deleted paused resumed")
    | {"customer.updated": Touch(by="customer", where=("invoice_settings", "default_source"))}
    | {
        f"payment_method.{name}": Touch("customer", by="customer")
        for name in ("attached", "detached", "updated", "automatically_updated")
    },
)
CHANGES = ChangeFeed(StripeSubscriptionChange)
INVOICES = ObjectFeed(
    StripeInvoice,
    path="/v1/invoices",
    document=invoice,
    expand=("payments",),
    touched=own("invoice", "created finalized paid payment_failed updated voided marked_uncollectible overpaid"),
    deleted="invoice.deleted",
    once_deleted=lambda at: {"status": "deleted"},
)

FEEDS: tuple[ObjectFeed | ChangeFeed, ...] = (
    CHARGES,
    REFUNDS,
    DISPUTES,
    CUSTOMERS,
    PRICES,
    SUBSCRIPTIONS,
    CHANGES,
    INVOICES,
)


def event_types(feeds: Iterable[ObjectFeed | ChangeFeed] = FEEDS) -> list[str]:
    """Types of events that a webhook should send: what else there is tells nothing about what Scout holds."""
    return sorted({name for feed in feeds for name in feed.events})
