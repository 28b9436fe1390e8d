{% from "analytics/sql/email/parts.jinja" import answers, earned, members, read %}
-- A list has a row for every day since somebody joined it. What a campaign to several lists brought is theirs in
-- proportion to whom each could mail then: the vendor does not say who of which list answered.
WITH calendar AS (
  SELECT day FROM UNNEST(@days) AS day
),
members AS (
{{ members(dataset) }}
),
answers AS (
{{ answers(dataset) }}
),
counted AS (
  SELECT
    calendar.day,
    members.list_id,
    COUNT(*) AS active,
    COUNTIF(answers.day IS NOT NULL OR DATE_DIFF(calendar.day, members.since, DAY) < 90) AS engaged
  FROM calendar
  INNER JOIN members ON members.since <= calendar.day AND members.until > calendar.day
  LEFT JOIN answers
    ON answers.contact_id = members.contact_id
    AND calendar.day >= answers.day
    AND calendar.day < LEAST(COALESCE(answers.next_day, DATE '9999-12-31'), DATE_ADD(answers.day, INTERVAL 90 DAY))
  GROUP BY calendar.day, members.list_id
),
lists AS (
  SELECT found.list_id, MIN(found.day) AS since, MAX_BY(found.name, IF(found.name IS NULL, NULL, found.day)) AS name
  FROM (
    SELECT raw.list_id, raw.date AS day, raw.name FROM `{{ dataset }}.ac_lists` AS raw
    UNION ALL
    SELECT members.list_id, members.since, CAST(NULL AS STRING) FROM members
  ) AS found
  GROUP BY found.list_id
),
earned AS (
{{ earned(dataset) }}
),
addressed AS (
  SELECT
    raw.date,
    addressee AS list_id,
    earned.revenue,
    COALESCE(counted.active, 0) AS active,
    SUM(COALESCE(counted.active, 0)) OVER (PARTITION BY raw.date, raw.campaign_id) AS active_of_all,
    COUNT(*) OVER (PARTITION BY raw.date, raw.campaign_id) AS lists
  FROM `{{ dataset }}.ac_campaigns` AS raw
  CROSS JOIN UNNEST(raw.list_ids) AS addressee
  LEFT JOIN earned ON earned.date = raw.date AND earned.campaign_id = raw.campaign_id
  LEFT JOIN counted ON counted.day = raw.date AND counted.list_id = addressee
  WHERE raw.date IN UNNEST(@days)
),
brought AS (
  SELECT
    addressed.date,
    addressed.list_id,
    COUNTIF(addressed.revenue IS NULL) AS unknown,
    SUM(CAST(
      addressed.revenue * IF(addressed.active_of_all > 0, addressed.active, 1)
      / IF(addressed.active_of_all > 0, addressed.active_of_all, addressed.lists) AS NUMERIC
    )) AS revenue
  FROM addressed
  GROUP BY addressed.date, addressed.list_id
),
told AS (
{{ read(dataset) }}
)
SELECT
  calendar.day AS date,
  lists.list_id AS entity_id,
  JSON_OBJECT(
    'active_contacts', COALESCE(counted.active, 0),
    'email_revenue', IF(
      told.day IS NULL OR brought.unknown > 0, NULL, COALESCE(CAST(brought.revenue AS FLOAT64), 0)
    ),
    'engaged_contacts', COALESCE(counted.engaged, 0),
    'title', lists.name
  ) AS attributes
FROM calendar
INNER JOIN lists ON lists.since <= calendar.day
LEFT JOIN counted ON counted.day = calendar.day AND counted.list_id = lists.list_id
LEFT JOIN brought ON brought.date = calendar.day AND brought.list_id = lists.list_id
LEFT JOIN told ON told.day = calendar.day
