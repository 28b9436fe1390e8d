"""Mails, lists and automations: what ActiveCampaign tells."""

from shared.analytics.entities.entity import Entity

EMAIL: tuple[Entity, ...] = ()
