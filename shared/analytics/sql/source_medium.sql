SELECT
  raw.date,
  CONCAT(raw.session_source, ' / ', raw.session_medium) AS entity_id,
  SUM(raw.total_users) AS users,
  SUM(raw.new_users) AS new_users,
  SUM(raw.sessions) AS sessions,
  SUM(raw.engaged_sessions) AS engaged_sessions,
  SUM(raw.sessions) - SUM(raw.engaged_sessions) AS bounces,
  CAST(SUM(CAST(raw.key_events AS NUMERIC)) AS FLOAT64) AS conversions,
  CAST(SUM(CAST(raw.purchase_revenue AS NUMERIC)) AS FLOAT64) AS revenue,
  JSON_OBJECT('channel', ANY_VALUE(raw.session_default_channel_group)) AS attributes
FROM `{{ dataset }}.ga_traffic_sources` AS raw
WHERE raw.date IN UNNEST(@days)
GROUP BY raw.date, CONCAT(raw.session_source, ' / ', raw.session_medium)
