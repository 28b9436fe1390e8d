{% from "analytics/sql/raw.jinja" import rows %}
-- A step is named by the event that it reaches: entered by the sessions of the event before, completed by its own.
WITH steps AS (
  SELECT 'session_start' AS entered_by, 'view_item' AS completed_by UNION ALL
  SELECT 'view_item', 'add_to_cart' UNION ALL
  SELECT 'add_to_cart', 'begin_checkout' UNION ALL
  SELECT 'begin_checkout', 'purchase'
),
events AS (
  SELECT raw.date, raw.event_name, SUM(raw.sessions) AS sessions
  FROM {{ rows(dataset, "ga_funnel_events") }} AS raw
  WHERE raw.date IN UNNEST(@days)
  GROUP BY raw.date, raw.event_name
)
SELECT
  entered.date,
  steps.completed_by AS entity_id,
  entered.sessions AS sessions,
  CAST(COALESCE(completed.sessions, 0) AS FLOAT64) AS conversions,
  JSON_OBJECT('entered_by', steps.entered_by) AS attributes
FROM events AS entered
INNER JOIN steps ON steps.entered_by = entered.event_name
LEFT JOIN events AS completed ON completed.date = entered.date AND completed.event_name = steps.completed_by
