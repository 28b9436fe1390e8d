{% from "analytics/sql/raw.jinja" import rows %}
-- A source and its medium; of the channels that Google Analytics counts its campaigns to, the one with the most sessions.
WITH visits AS (
  SELECT
    raw.date AS day,
    CONCAT(raw.session_source, ' / ', raw.session_medium) AS source_medium,
    raw.session_default_channel_group AS channel,
    SUM(raw.total_users) AS users,
    SUM(raw.new_users) AS new_users,
    SUM(raw.sessions) AS sessions,
    SUM(raw.engaged_sessions) AS engaged_sessions,
    SUM(CAST(raw.key_events AS NUMERIC)) AS conversions,
    SUM(CAST(raw.purchase_revenue AS NUMERIC)) AS revenue
  FROM {{ rows(dataset, "ga_traffic_sources") }} AS raw
  WHERE raw.date IN UNNEST(@days)
  GROUP BY day, source_medium, channel
)
SELECT
  visits.day AS date,
  visits.source_medium AS entity_id,
  SUM(visits.users) AS users,
  SUM(visits.new_users) AS new_users,
  SUM(visits.sessions) AS sessions,
  SUM(visits.engaged_sessions) AS engaged_sessions,
  SUM(visits.sessions) - SUM(visits.engaged_sessions) AS bounces,
  CAST(SUM(visits.conversions) AS FLOAT64) AS conversions,
  CAST(SUM(visits.revenue) AS FLOAT64) AS revenue,
  JSON_OBJECT(
    'channel', ARRAY_AGG(visits.channel ORDER BY visits.sessions DESC, visits.channel LIMIT 1)[OFFSET(0)]
  ) AS attributes
FROM visits
GROUP BY visits.day, visits.source_medium
