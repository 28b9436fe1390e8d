"""The keys of `attributes` in `daily_entity_metrics`: what few kinds of entities have, and no column is spent on.

One registry for those who write them (the ETL) and those who read them (detectors, the monthly rollup).
"""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["flow", "stock", "label"]


@dataclass(frozen=True)
class Attribute:
    """One key. flow: a number that days add up; stock: a number as it stands that day; label: a text."""

    name: str
    kind: Kind
    description: str


def _declared(kind: Kind, **descriptions: str) -> dict[str, Attribute]:
    return {name: Attribute(name, kind, description) for name, description in descriptions.items()}


ATTRIBUTES: dict[str, Attribute] = {
    # The data themselves.
    **_declared(
        "flow",
        event_count="event: how often it was counted.",
        row_count="source_table, table_column: raw rows of the day.",
        duplicate_purchases="property: purchase events whose transaction_id was counted before.",
        duplicate_revenue="property: revenue of those events.",
        first_metric="source_table: its main metric of the day as it was first loaded.",
        foreign_rows="source_table: rows in another currency than the tenant's, not converted.",
        minor_sessions="utm_group: sessions of all spellings but its most frequent one.",
        null_count="table_column: raw rows of the day without a value in it.",
        purchase_events="property: purchase events, however often a transaction was counted.",
        restated_metric="source_table: its main metric of the day as it was last loaded.",
        unmapped_cost="source_table: cost of rows without a canonical entity.",
        unmapped_revenue="source_table: revenue of rows without a canonical entity.",
        unmapped_sessions="source_table: sessions of rows without a canonical entity.",
    ),
    **_declared(
        "stock",
        currencies="source_table: currencies in its money column, 1 where they are converted.",
        hours_since_load="source_table: hours since it last loaded, at the end of the day.",
        loads="source_table: how often it has loaded so far.",
        rows_expected="arrival: rows that the newest sync was told of, or wrote.",
        rows_missing="arrival: those of them, and of earlier ones, that did not become rows, or are in no metrics.",
        median_amount="source_table: median of its money column.",
        spellings="utm_group: in how many ways it was written in 28 days.",
        usual_interval_hours="source_table: median of the hours between its loads.",
    ),
    # Pages, landing pages, devices, sources, channels.
    **_declared(
        "flow",
        engagement_seconds="Seconds that people were engaged.",
        exits="page: sessions that ended there.",
        orders="Purchases.",
        organic_conversions="Conversions of sessions from organic search; page: of those that began on it. keyword: "
        "its part of those of its pages, as its clicks are of their visits.",
        organic_sessions="Sessions from organic search; page: those that began on it.",
        paid_conversions="Conversions of sessions from paid channels.",
        paid_sessions="Sessions from paid channels.",
        scroll_90_events="page: how often 90% of it was scrolled.",
    ),
    **_declared(
        "label",
        channel="source_medium: its default channel group.",
        device="Of a pair with a device: mobile, desktop, tablet.",
        landing_page="Of a pair with a landing page: the page.",
        page_template="page: its template; the first segment of its path.",
        page_title="landing_page: the title that visitors saw, of an error page; else empty.",
        source="Of a pair with a source: source / medium.",
        step="Of a pair with a funnel step: the step. funnel: its last one.",
    ),
    # Journeys, funnels, payments, leads.
    **_declared(
        "flow",
        cart_sessions="funnel: sessions that put something into the cart.",
        failed_payments="payment_method: attempts to pay that failed.",
        first_touch_conversions="channel: conversions whose journey it began.",
        last_touch_conversions="channel: conversions whose journey it ended.",
        leads="lead: leads of the day. By first contact: fast (2 hours), same_day (24 hours), slow (later, or never).",
        linear_conversions="channel, content: its even share of the conversions whose journey it was part of.",
        payment_attempts="payment_method: attempts to pay.",
        reachable_carts="funnel: abandoned carts whose buyer's e-mail is known.",
        recovery_sends="funnel: e-mails sent about abandoned carts.",
    ),
    **_declared(
        "label",
        entered_by="funnel_step, funnel_step_device: the event before, which is the id of the step before.",
        pair_before="funnel_step_device: the id of its device's pair at the step before.",
    ),
    # Keywords and content.
    **_declared(
        "flow",
        ads_clicks="keyword: clicks on our ads for the same term.",
        assisted_conversions="content: conversions of later sessions of people who had read it.",
        best_placed="keyword_page: 1 on a day on which it stands above the keyword's other pages, else 0.",
        hub_clicks="content: clicks that lead to it from its hub.",
    ),
    **_declared(
        "stock",
        competitor_position="keyword_competitor: where the competitor stood at the check.",
        competitors_top10="keyword: tracked competitors among the first ten at the check.",
        content_age_days="content: days since it was published; none of a draft.",
        pieces="content_group: published pieces of the topic.",
        ranking_position="content: where it ranks for its primary keyword.",
        word_count="content: words of its text.",
    ),
    **_declared(
        "label",
        competitor="keyword_competitor: the competitor's domain.",
        content_id="The content piece that answers the keyword.",
        content_status="content: draft, published or archived.",
        hub_id="content: its hub, of a spoke.",
        intent="keyword, keyword_page: informational, commercial or transactional.",
        keyword="Of a pair with a keyword: the keyword.",
        meta_description="content: its meta description; empty where it has none.",
        page="keyword, keyword_page, keyword_competitor, content: our page, as landing_page and page call it.",
        page_type="keyword_page, landing_page: blog, guide, product, category, ...",
        title="What people call it: a piece's title, the name of an ad group, product, mail, list or automation.",
    ),
    # Campaigns and ad groups.
    **_declared(
        "flow",
        ads_conversions="Conversions as Google Ads counts them.",
        ads_impressions="keyword: impressions of our ads for the same term; 0 where an account was read and had none.",
        ads_value="Value of ads_conversions.",
        journeys="content: journeys to a conversion that it was part of.",
        linear_value="content: its even share of the value of the conversions whose journey it was part of.",
    ),
    **_declared(
        "stock",
        daily_budget="campaign: what it may spend a day.",
        lost_is_budget="campaign: share of impressions lost as its budget was spent, 0 to 1.",
        lost_is_rank="campaign: share of impressions lost as its ads ranked too low, 0 to 1.",
        m3_retention="channel: share of its customers that buy again or still pay three months later, 0 to 1.",
        monthly_budget="campaign: what it may spend this month.",
    ),
    **_declared(
        "label",
        ad_group="search_term: its ad group's id.",
        campaign="ad_group, search_term, campaign_device: the campaign's id.",
        term_status="search_term: NONE, ADDED or EXCLUDED, as Google Ads says.",
        utm_campaign="email_campaign: the campaign's id that its links carry.",
    ),
    # E-mail.
    **_declared(
        "flow",
        complaints="sending_domain: complaints of spam that mailboxes reported.",
        dropouts="automation_step: contacts that left the automation there, before its end.",
        email_orders="email_type: orders (or other conversions) that its mails brought.",
        email_revenue="email_type, email_list, sending_domain, automation: revenue that its mails brought.",
        entries="automation: contacts that entered it.",
        machine_opens="email_type: unique opens that were a machine's (Apple Mail Privacy Protection).",
        verified_opens="email_type: unique opens that were no machine's.",
    ),
    **_declared(
        "stock",
        active_contacts="email_list: contacts that may be mailed.",
        buyers="contact_segment: contacts that are known to have bought.",
        dormant_buyers="contact_segment: last bought 90 to 365 days ago; neither mailed nor opened a mail in 60 days.",
        engaged_contacts="email_list: active contacts that opened or clicked in 90 days, or joined in them.",
        matched_buyers="contact_segment: those of its buyers that were found among the payments.",
    ),
    **_declared(
        "label",
        automation="automation_step: its automation's id.",
        email_list="email_list_hour: its list's id.",
        email_type="email_campaign: the id of its list and type.",
    ),
    # Revenue, subscriptions, customers.
    **_declared(
        "flow",
        discount_amount="property: what coupons and discounts took off.",
        discounted_orders="property: orders with a coupon or a discount.",
        discounted_revenue="property: revenue of those orders.",
    ),
    **_declared(
        "stock",
        cohort_age="order_cohort, subscription_cohort: days since its last day; a row a day until it is a year old.",
        cohort_customers="order_cohort: customers whose first order was in its month.",
        repeat_customers="order_cohort: those of them that bought again within 60 days of their first order.",
    ),
    # Subscriptions and customers.
    **_declared(
        "flow",
        canceled_after_failure="plan: cancellations for want of payment.",
        disputed_amount="property: amount of the day's disputes.",
        downgrades="plan: subscriptions that began to pay less.",
        failed_amount="plan: amount of the invoices whose payment first failed that day.",
        failed_invoices="plan, customer: invoices whose payment first failed that day.",
        moved_mrr="plan: MRR that came from other plans, less what went to them.",
        limit_days="customer: 1 on a day on which usage reached 90% of the plan's limit, else 0.",
        matured_customers="first_product: customers whose first order was 90 days ago. customer_segment: 180 days ago.",
        matured_revenue="customer_segment: what its matured customers have spent in those 180 days.",
        new_customers="property, channel: buyers whose first order was that day.",
        recovered_invoices="plan: failed invoices that were paid after all, on the day they were.",
        repeat_orders="property: orders of buyers who had ordered before; renewals of subscriptions are no orders.",
        repeaters="first_product: its matured customers that have ordered again in those 90 days.",
        trials_converted="plan: trials that ended that day and are paid for since.",
        trials_ended="plan: trials that ended that day.",
    ),
    **_declared(
        "stock",
        backup_methods="subscription: its customer's other methods of payment.",
        card_expires_in_days="subscription: days until its card expires.",
        cohort_size="subscription_cohort: subscriptions that began in its month.",
        days_since_last="customer: days since the last order.",
        gap_cv="customer: coefficient of variation of the days between orders.",
        lifetime_orders="customer: orders so far.",
        ltv="customer: what was spent so far, renewals of subscriptions too, less refunds.",
        ltv_12m="channel: what a customer that it brought spends in the first 12 months, on average.",
        ltv_90d="property: what a customer spends in the first 90 days, on average.",
        median_gap="customer: median of the days between orders.",
        price_step="customer: monthly price of the next plan less that of the own; 0 on the largest.",
        renewal_amount="subscription: amount of its next invoice.",
        renews_in_days="subscription: days until its next invoice.",
        retained_m3="subscription_cohort: those of them active three months later; NULL until then.",
        tenure_days="customer: days since the subscription began.",
    ),
    **_declared(
        "label",
        plan_interval="plan, customer: month or year.",
        segment_dimension="customer_segment: country, device or source; its id begins with it.",
    ),
}
