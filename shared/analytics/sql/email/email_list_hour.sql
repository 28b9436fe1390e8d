{% from "analytics/sql/email/parts.jinja" import audience, delivered %}
-- The sends of one list by the hour in which they began, in the account's own time zone, as its people plan them: those
-- who read the mail have one each.
SELECT
  raw.date,
  CONCAT({{ audience("raw") }}, '/', FORMAT('%02d', COALESCE(raw.sent_hour, EXTRACT(HOUR FROM raw.sent_at)))) AS entity_id,
  SUM({{ delivered("raw") }}) AS delivered,
  SUM(raw.subscriberclicks) AS clicks_email,
  JSON_OBJECT('email_list', ANY_VALUE({{ audience("raw") }})) AS attributes
FROM `{{ dataset }}.ac_campaigns` AS raw
WHERE raw.date IN UNNEST(@days)
GROUP BY raw.date, entity_id
