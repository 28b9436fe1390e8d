SELECT
  raw.date,
  raw.device_category AS entity_id,
  SUM(raw.total_users) AS users,
  SUM(raw.new_users) AS new_users,
  SUM(raw.sessions) AS sessions,
  SUM(raw.engaged_sessions) AS engaged_sessions,
  SUM(raw.sessions) - SUM(raw.engaged_sessions) AS bounces,
  SUM(raw.key_events) AS conversions,
  SUM(raw.purchase_revenue) AS revenue
FROM `{{ dataset }}.ga_device_metrics` AS raw
WHERE raw.date IN UNNEST(@days)
GROUP BY raw.date, raw.device_category
