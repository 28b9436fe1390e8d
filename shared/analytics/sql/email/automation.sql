{% from "analytics/sql/email/parts.jinja" import automation_mails, passed, read, risen, steps, visits %}
-- An automation has a row for every day since somebody first entered it. Its mails go out every day, so that what they
-- brought is told by the day of the visit.
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
  SELECT mail.date, mail.automation_id, SUM(mail.sends) AS sends
  FROM (
    SELECT passed.date, passed.automation_id, passed.sends FROM passed
    UNION ALL
    SELECT risen.date, risen.automation_id, risen.sends FROM risen
  ) AS mail
  GROUP BY mail.date, mail.automation_id
),
entered AS (
  SELECT raw.date, raw.automation_id, COUNT(*) AS entries
  FROM `{{ dataset }}.ac_contact_automations` AS raw
  WHERE raw.date BETWEEN @first_day AND @last_day
  GROUP BY raw.date, raw.automation_id
),
mails AS (
{{ automation_mails(dataset) }}
),
visits AS (
{{ visits(dataset) }}
),
told AS (
{{ read(dataset) }}
),
earned AS (
  SELECT visits.day, mails.automation_id, SUM(CAST(visits.revenue / mails.sharing AS NUMERIC)) AS revenue
  FROM mails
  INNER JOIN visits ON visits.utm = mails.utm
  GROUP BY visits.day, mails.automation_id
),
automations AS (
  SELECT found.automation_id, MIN(found.date) AS since, MAX_BY(found.name, IF(found.name IS NULL, NULL, found.date)) AS name
  FROM (
    SELECT raw.automation_id, raw.date, raw.name FROM `{{ dataset }}.ac_automations` AS raw
    UNION ALL
    SELECT raw.automation_id, raw.date, CAST(NULL AS STRING) FROM `{{ dataset }}.ac_contact_automations` AS raw
  ) AS found
  GROUP BY found.automation_id
),
named AS (
  SELECT mails.automation_id, MAX(mails.utm) IS NOT NULL AS is_named
  FROM mails
  GROUP BY mails.automation_id
)
SELECT
  calendar.day AS date,
  automations.automation_id AS entity_id,
  COALESCE(sent.sends, 0) AS sends,
  JSON_OBJECT(
    'email_revenue', IF(named.is_named AND told.day IS NOT NULL, COALESCE(CAST(earned.revenue AS FLOAT64), 0), NULL),
    'entries', COALESCE(entered.entries, 0),
    'title', automations.name
  ) AS attributes
FROM calendar
INNER JOIN automations ON automations.since <= calendar.day
LEFT JOIN sent ON sent.date = calendar.day AND sent.automation_id = automations.automation_id
LEFT JOIN entered ON entered.date = calendar.day AND entered.automation_id = automations.automation_id
LEFT JOIN named ON named.automation_id = automations.automation_id
LEFT JOIN told ON told.day = calendar.day
LEFT JOIN earned ON earned.day = calendar.day AND earned.automation_id = automations.automation_id
