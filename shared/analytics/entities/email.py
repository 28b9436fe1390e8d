"""Mails, lists and automations: what ActiveCampaign tells."""

from shared.analytics.entities.entity import Entity

_COUNTS = ("sends", "delivered", "opens", "clicks_email", "unsubscribes", "hard_bounces", "soft_bounces")
_VISITS = 2
"""Days after its send whose visits are a campaign's own."""
_RESTATED = 14
"""Days back that a sync of ActiveCampaign pulls again: it tells of each of them once more."""
_QUARTER = 100
"""The longest window of days of these is 90; a detector's day lies up to a week back."""
_HALF_YEAR = 220
"""Six whole months, and the days of the one that has begun."""

EMAIL: tuple[Entity, ...] = (
    Entity(
        "email_campaign",
        "ac_campaigns",
        (*_COUNTS, "attributes"),
        keys=("email_type", "title", "utm_campaign"),
        measure_in="raw.send_amt",
        measure_out="metrics.sends",
    ),
    Entity(
        "email_type",
        "ac_campaigns",
        (*_COUNTS, "attributes"),
        keys=("email_orders", "email_revenue", "machine_opens", "verified_opens"),
        reads=("ga_traffic_sources",),
        late_days=_VISITS,
        measure_in="raw.send_amt",
        measure_out="metrics.sends",
    ),
    Entity("email_list_hour", "ac_campaigns", ("delivered", "clicks_email", "attributes"), keys=("email_list",)),
    Entity(
        "sending_domain",
        "ac_campaigns",
        ("sends", "delivered", "hard_bounces", "soft_bounces", "attributes"),
        keys=("complaints", "email_revenue"),
        reads=("ac_messages", "ac_automation_mails", "ga_traffic_sources"),
        late_days=_VISITS,
    ),
    Entity(
        "email_list",
        "ac_lists",
        ("attributes",),
        keys=("active_contacts", "email_revenue", "engaged_contacts", "title"),
        reads=("ac_contacts", "ac_opens", "ac_campaigns", "ga_traffic_sources"),
        stock_days=_HALF_YEAR,
        late_days=_RESTATED,
    ),
    Entity(
        "contact_segment",
        "ac_contacts",
        ("attributes",),
        keys=("buyers", "dormant_buyers", "matched_buyers"),
        reads=("ac_opens", "stripe_customers", "stripe_charges"),
        stock_days=_QUARTER,
        late_days=_RESTATED,
    ),
    Entity(
        "automation",
        "ac_automations",
        ("sends", "attributes"),
        keys=("email_revenue", "entries", "title"),
        reads=(
            "ac_automation_mails",
            "ac_automation_blocks",
            "ac_contact_automations",
            "ac_campaigns",
            "ga_traffic_sources",
        ),
        adds_up=(("ac_contact_automations", "1", "CAST(JSON_VALUE(metrics.attributes, '$.entries') AS INT64)"),),
        stock_days=_QUARTER,
        late_days=_RESTATED,
    ),
    Entity(
        "automation_step",
        "ac_automation_mails",
        ("sends", "opens", "attributes"),
        keys=("automation", "dropouts", "title"),
        reads=("ac_automation_blocks", "ac_contact_automations"),
        stock_days=_QUARTER,
        late_days=_RESTATED,
    ),
)
