{% from "analytics/sql/email/parts.jinja" import delivered, email_type %}
-- A campaign has one row, on the day of its send: opens and clicks of the days after are counted there as they come.
SELECT
  raw.date,
  raw.campaign_id AS entity_id,
  raw.send_amt AS sends,
  {{ delivered("raw") }} AS delivered,
  raw.uniqueopens AS opens,
  raw.subscriberclicks AS clicks_email,
  raw.unsubscribes,
  raw.hardbounces AS hard_bounces,
  raw.softbounces AS soft_bounces,
  JSON_OBJECT(
    'email_type', {{ email_type("raw") }},
    'title', raw.name,
    'utm_campaign', COALESCE(IF(aliases.how = 'own', NULL, aliases.entity_id), raw.utm_campaign)
  ) AS attributes
FROM `{{ dataset }}.ac_campaigns` AS raw
LEFT JOIN `{{ dataset }}.entity_aliases` AS aliases
  ON aliases.entity_type = 'campaign' AND aliases.source = 'activecampaign' AND aliases.alias = raw.campaign_id
WHERE raw.date IN UNNEST(@days)
