{% from "analytics/sql/raw.jinja" import rows %}
-- A step on one kind of device, as funnel_step; sessions of one that entered and of none that went on are 0, not unknown.
WITH steps AS (
  SELECT 'session_start' AS entered_by, 'view_item' AS completed_by UNION ALL
  SELECT 'view_item', 'add_to_cart' UNION ALL
  SELECT 'add_to_cart', 'begin_checkout' UNION ALL
  SELECT 'begin_checkout', 'purchase'
),
events AS (
  SELECT raw.date, raw.event_name, raw.device_category, SUM(raw.sessions) AS sessions
  FROM {{ rows(dataset, "ga_funnel_event_devices") }} AS raw
  WHERE raw.date IN UNNEST(@days)
  GROUP BY raw.date, raw.event_name, raw.device_category
)
SELECT
  entered.date,
  CONCAT(steps.completed_by, ' / ', entered.device_category) AS entity_id,
  entered.sessions AS sessions,
  CAST(COALESCE(completed.sessions, 0) AS FLOAT64) AS conversions,
  JSON_OBJECT(
    'device', entered.device_category,
    'entered_by', steps.entered_by,
    'pair_before', CONCAT(steps.entered_by, ' / ', entered.device_category),
    'step', steps.completed_by
  ) AS attributes
FROM events AS entered
INNER JOIN steps ON steps.entered_by = entered.event_name
LEFT JOIN events AS completed
  ON completed.date = entered.date
  AND completed.event_name = steps.completed_by
  AND completed.device_category = entered.device_category
