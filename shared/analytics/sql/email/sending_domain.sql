{% from "analytics/sql/email/parts.jinja" import automation_mails, delivered, earned, risen, sum, visits %}
-- All mails of one sender's domain, those of automations among them: mailboxes judge them together. What campaigns brought
-- is told on the day of their send, what automations brought on that of the visit.
WITH earned AS (
{{ earned(dataset) }}
),
risen AS (
{{ risen(dataset) }}
),
automation_mails AS (
{{ automation_mails(dataset) }}
),
visits AS (
{{ visits(dataset) }}
),
mails AS (
  SELECT
    raw.date,
    raw.message_id,
    raw.send_amt AS sends,
    {{ delivered("raw") }} AS delivered,
    raw.hardbounces AS hard_bounces,
    raw.softbounces AS soft_bounces,
    raw.complaints,
    earned.revenue
  FROM `{{ dataset }}.ac_campaigns` AS raw
  LEFT JOIN earned ON earned.date = raw.date AND earned.campaign_id = raw.campaign_id
  WHERE raw.date IN UNNEST(@days)
  UNION ALL
  SELECT
    risen.date,
    risen.message_id,
    risen.sends,
    GREATEST(risen.sends - risen.hard_bounces - risen.soft_bounces, 0),
    risen.hard_bounces,
    risen.soft_bounces,
    risen.complaints,
    0
  FROM risen
  WHERE risen.date IN UNNEST(@days)
  UNION ALL
  SELECT visits.day, mail.message_id, 0, 0, 0, 0, 0, CAST(visits.revenue / mail.sharing AS NUMERIC)
  FROM automation_mails AS mail
  INNER JOIN visits ON visits.utm = mail.utm
  WHERE visits.day IN UNNEST(@days)
)
SELECT
  mails.date,
  COALESCE(message.from_domain, '(not set)') AS entity_id,
  SUM(mails.sends) AS sends,
  SUM(mails.delivered) AS delivered,
  SUM(mails.hard_bounces) AS hard_bounces,
  SUM(mails.soft_bounces) AS soft_bounces,
  JSON_OBJECT(
    'complaints', {{ sum("mails.complaints") }},
    'email_revenue', {{ sum("mails.revenue") }}
  ) AS attributes
FROM mails
LEFT JOIN `{{ dataset }}.ac_messages` AS message ON message.message_id = mails.message_id
GROUP BY mails.date, entity_id
