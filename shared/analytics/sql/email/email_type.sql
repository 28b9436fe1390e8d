{% from "analytics/sql/email/parts.jinja" import delivered, earned, email_type, sum %}
-- The sends of one list (or of the same lists together) and kind: a row on each day with one.
WITH earned AS (
{{ earned(dataset) }}
)
SELECT
  raw.date,
  {{ email_type("raw") }} AS entity_id,
  SUM(raw.send_amt) AS sends,
  SUM({{ delivered("raw") }}) AS delivered,
  SUM(raw.uniqueopens) AS opens,
  SUM(raw.subscriberclicks) AS clicks_email,
  SUM(raw.unsubscribes) AS unsubscribes,
  SUM(raw.hardbounces) AS hard_bounces,
  SUM(raw.softbounces) AS soft_bounces,
  JSON_OBJECT(
    'email_orders', {{ sum("earned.orders") }},
    'email_revenue', {{ sum("earned.revenue") }},
    'machine_opens', {{ sum("GREATEST(raw.uniqueopens - raw.verified_unique_opens, 0)") }},
    'verified_opens', {{ sum("raw.verified_unique_opens") }}
  ) AS attributes
FROM `{{ dataset }}.ac_campaigns` AS raw
LEFT JOIN earned ON earned.date = raw.date AND earned.campaign_id = raw.campaign_id
WHERE raw.date IN UNNEST(@days)
GROUP BY raw.date, entity_id
