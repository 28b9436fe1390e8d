{% from "analytics/sql/email/parts.jinja" import passed, risen, steps %}
-- A step is one mail of an automation. A contact that leaves before the end leaves at the last mail that it was sent; one
-- that has come to the end drops out nowhere.
WITH calendar AS (
  SELECT day FROM UNNEST(@days) AS day
),
steps AS (
{{ steps(dataset) }}
),
passed AS (
{{ passed(dataset) }}
),
risen AS (
{{ risen(dataset) }}
),
sent AS (
  SELECT passed.date, passed.automation_id, passed.campaign_id, passed.sends, CAST(NULL AS INT64) AS opens
  FROM passed
  UNION ALL
  SELECT risen.date, risen.automation_id, risen.campaign_id, risen.sends, risen.opens
  FROM risen
),
dropped AS (
  SELECT CAST(way.left_at AS DATE) AS day, way.automation_id, steps.campaign_id, COUNT(*) AS dropouts
  FROM `{{ dataset }}.ac_contact_automations` AS way
  INNER JOIN steps ON steps.block_id = way.last_block_id AND steps.is_last
  WHERE way.date <= @last_day
    AND CAST(way.left_at AS DATE) BETWEEN @first_day AND @last_day
    AND NOT way.completed
  GROUP BY day, way.automation_id, steps.campaign_id
),
mails AS (
  SELECT raw.automation_id, raw.campaign_id, MAX_BY(raw.name, raw.date) AS name
  FROM `{{ dataset }}.ac_automation_mails` AS raw
  WHERE raw.date > DATE_SUB(@last_day, INTERVAL 430 DAY)
  GROUP BY raw.automation_id, raw.campaign_id
),
begun AS (
  SELECT raw.automation_id, MIN(raw.date) AS since
  FROM `{{ dataset }}.ac_contact_automations` AS raw
  GROUP BY raw.automation_id
),
kept AS (
  SELECT MIN(raw.date) AS since
  FROM `{{ dataset }}.ac_automation_mails` AS raw
)
SELECT
  calendar.day AS date,
  CONCAT(mails.automation_id, '/', mails.campaign_id) AS entity_id,
  COALESCE(sent.sends, 0) AS sends,
  IF(calendar.day > kept.since, COALESCE(sent.opens, 0), NULL) AS opens,
  JSON_OBJECT('automation', mails.automation_id, 'dropouts', COALESCE(dropped.dropouts, 0), 'title', mails.name) AS attributes
FROM calendar
CROSS JOIN kept
CROSS JOIN mails
INNER JOIN begun ON begun.automation_id = mails.automation_id AND begun.since <= calendar.day
LEFT JOIN sent
  ON sent.date = calendar.day AND sent.automation_id = mails.automation_id AND sent.campaign_id = mails.campaign_id
LEFT JOIN dropped
  ON dropped.day = calendar.day
  AND dropped.automation_id = mails.automation_id
  AND dropped.campaign_id = mails.campaign_id
