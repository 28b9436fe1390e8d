"""Campaigns, ad groups and search terms: what Google Ads tells."""

from shared.analytics.entities.entity import Entity

ADS: tuple[Entity, ...] = ()
