"""Customers, orders and subscriptions: what Stripe tells."""

from shared.analytics.entities.entity import Entity

PAYMENTS: tuple[Entity, ...] = ()
