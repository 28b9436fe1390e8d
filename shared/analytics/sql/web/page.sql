{% from "analytics/sql/raw.jinja" import days_told, rows %}
{% from "analytics/sql/web/parts.jinja" import brought, none_if, seconds %}
WITH visited AS (
  SELECT
    raw.date,
    raw.page_path AS page,
    SUM(raw.total_users) AS users,
    SUM(raw.sessions) AS sessions,
    SUM(raw.engaged_sessions) AS engaged_sessions,
    SUM(raw.screen_page_views) AS pageviews,
    CAST(SUM(CAST(raw.key_events AS NUMERIC)) AS FLOAT64) AS conversions,
    CAST(SUM(CAST(raw.purchase_revenue AS NUMERIC)) AS FLOAT64) AS revenue,
    {{ seconds() }} AS engagement_seconds
  FROM {{ rows(dataset, "ga_page_performance") }} AS raw
  WHERE raw.date IN UNNEST(@days)
  GROUP BY raw.date, raw.page_path
),
brought AS (
{{ brought(dataset) }}
),
brought_days AS (
{{ days_told(dataset, "ga_landing_page_channels") }}
),
scrolled AS (
  SELECT raw.date AS day, raw.page_path AS page, SUM(raw.event_count) AS events
  FROM {{ rows(dataset, "ga_page_scrolls") }} AS raw
  WHERE raw.date IN UNNEST(@days)
  GROUP BY day, page
),
scrolled_days AS (
{{ days_told(dataset, "ga_page_scrolls") }}
)
SELECT
  visited.date,
  visited.page AS entity_id,
  visited.users,
  visited.sessions,
  visited.engaged_sessions,
  visited.pageviews,
  visited.sessions - visited.engaged_sessions AS bounces,
  visited.conversions,
  visited.revenue,
  JSON_OBJECT(
    'engagement_seconds', visited.engagement_seconds,
    -- Of the sessions that began on the page.
    'organic_conversions', CAST({{ none_if("brought_days", "brought.organic_conversions") }} AS FLOAT64),
    'organic_sessions', {{ none_if("brought_days", "brought.organic_sessions") }},
    -- The first path segment: pages of one template are each other's peers.
    'page_template', CONCAT('/', SPLIT(TRIM(visited.page, '/'), '/')[SAFE_OFFSET(0)]),
    'scroll_90_events', {{ none_if("scrolled_days", "scrolled.events") }}
  ) AS attributes
FROM visited
LEFT JOIN brought_days ON brought_days.day = visited.date
LEFT JOIN brought ON brought.day = visited.date AND brought.page = visited.page
LEFT JOIN scrolled_days ON scrolled_days.day = visited.date
LEFT JOIN scrolled ON scrolled.day = visited.date AND scrolled.page = visited.page
