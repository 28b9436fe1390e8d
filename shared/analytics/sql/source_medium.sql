SELECT
  raw.date,
  CONCAT(raw.session_source, ' / ', raw.session_medium) AS entity_id,
  SUM(raw.total_users) AS users,
  SUM(raw.new_users) AS new_users,
  SUM(raw.sessions) AS sessions,
  SUM(raw.engaged_sessions) AS engaged_sessions,
  SUM(raw.sessions) - SUM(raw.engaged_sessions) AS bounces,
  SUM(raw.key_events) AS conversions,
  SUM(raw.purchase_revenue) AS revenue,
  JSON_OBJECT('channel', ANY_VALUE(raw.session_default_channel_group)) AS attributes
FROM `{{ dataset }}.ga_traffic_sources` AS raw
WHERE raw.date IN UNNEST(@days)
GROUP BY raw.date, CONCAT(raw.session_source, ' / ', raw.session_medium)
