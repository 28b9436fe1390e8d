{% from "analytics/sql/raw.jinja" import rows %}
SELECT
  raw.date,
  raw.event_name AS entity_id,
  SUM(raw.total_users) AS users,
  SUM(raw.sessions) AS sessions,
  JSON_OBJECT('event_count', SUM(raw.event_count)) AS attributes
FROM {{ rows(dataset, "ga_funnel_events") }} AS raw
WHERE raw.date IN UNNEST(@days)
GROUP BY raw.date, raw.event_name
