SELECT
  raw.date,
  raw.page_path AS entity_id,
  SUM(raw.total_users) AS users,
  SUM(raw.sessions) AS sessions,
  SUM(raw.engaged_sessions) AS engaged_sessions,
  SUM(raw.screen_page_views) AS pageviews,
  SUM(raw.sessions) - SUM(raw.engaged_sessions) AS bounces,
  CAST(SUM(CAST(raw.key_events AS NUMERIC)) AS FLOAT64) AS conversions,
  CAST(SUM(CAST(raw.purchase_revenue AS NUMERIC)) AS FLOAT64) AS revenue,
  -- The first path segment: pages of one template are each other's peers.
  JSON_OBJECT('page_template', CONCAT('/', SPLIT(TRIM(ANY_VALUE(raw.page_path), '/'), '/')[SAFE_OFFSET(0)])) AS attributes
FROM `{{ dataset }}.ga_page_performance` AS raw
WHERE raw.date IN UNNEST(@days)
GROUP BY raw.date, raw.page_path
