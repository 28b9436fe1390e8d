SELECT
  raw.date,
  raw.landing_page AS entity_id,
  SUM(raw.total_users) AS users,
  SUM(raw.sessions) AS sessions,
  SUM(raw.engaged_sessions) AS engaged_sessions,
  SUM(raw.sessions) - SUM(raw.engaged_sessions) AS bounces,
  CAST(SUM(CAST(raw.key_events AS NUMERIC)) AS FLOAT64) AS conversions,
  CAST(SUM(CAST(raw.purchase_revenue AS NUMERIC)) AS FLOAT64) AS revenue
FROM `{{ dataset }}.ga_landing_pages` AS raw
WHERE raw.date IN UNNEST(@days)
GROUP BY raw.date, raw.landing_page
