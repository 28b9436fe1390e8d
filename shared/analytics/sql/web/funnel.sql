{% from "analytics/sql/raw.jinja" import rows %}
-- The checkout: entered by the sessions that began it, completed by those that bought. Other events may be there without.
SELECT
  raw.date,
  'checkout' AS entity_id,
  SUM(IF(raw.event_name = 'begin_checkout', raw.sessions, 0)) AS sessions,
  CAST(SUM(IF(raw.event_name = 'purchase', raw.sessions, 0)) AS FLOAT64) AS conversions,
  JSON_OBJECT(
    'cart_sessions', SUM(IF(raw.event_name = 'add_to_cart', raw.sessions, 0)),
    'step', 'purchase'
  ) AS attributes
FROM {{ rows(dataset, "ga_funnel_events") }} AS raw
WHERE raw.date IN UNNEST(@days)
GROUP BY raw.date
HAVING SUM(IF(raw.event_name IN ('add_to_cart', 'begin_checkout', 'purchase'), raw.sessions, 0)) > 0
