{% from "analytics/sql/ads/parts.jinja" import money %}
{% from "analytics/sql/pages.jinja" import page_type, path %}
{% from "analytics/sql/raw.jinja" import days_read, days_told, rows %}
{% from "analytics/sql/web/parts.jinja" import brought, none_if, seconds %}
WITH visited AS (
  SELECT
    raw.date AS day,
    raw.landing_page AS page,
    SUM(raw.total_users) AS users,
    SUM(raw.sessions) AS sessions,
    SUM(raw.engaged_sessions) AS engaged_sessions,
    CAST(SUM(CAST(raw.key_events AS NUMERIC)) AS FLOAT64) AS conversions,
    CAST(SUM(CAST(raw.purchase_revenue AS NUMERIC)) AS FLOAT64) AS revenue,
    {{ seconds() }} AS engagement_seconds
  FROM {{ rows(dataset, "ga_landing_pages") }} AS raw
  WHERE raw.date IN UNNEST(@days)
  GROUP BY day, page
),
-- Of several spellings of a page the one with the most visits is the one that ads lead to.
spelled AS (
  SELECT visited.day, visited.page, {{ path("visited.page") }} AS path
  FROM visited
  QUALIFY ROW_NUMBER() OVER (
    PARTITION BY visited.day, {{ path("visited.page") }} ORDER BY visited.sessions DESC, visited.page
  ) = 1
),
costs AS (
  SELECT raw.date AS day, {{ path("raw.final_url") }} AS path, {{ money("raw.cost") }} AS cost
  FROM {{ rows(dataset, "google_ads_landing_pages") }} AS raw
  WHERE raw.date IN UNNEST(@days)
  GROUP BY day, path
),
spent AS (
  SELECT costs.day, COALESCE(spelled.page, costs.path) AS page, costs.cost
  FROM costs
  LEFT JOIN spelled ON spelled.day = costs.day AND spelled.path = costs.path
),
advertised AS (
{{ days_read(dataset, "google_ads_landing_pages", later=3) }}
),
-- Clicks on an ad may come to nothing on a day: then the page has a cost and no visit.
entered AS (
  SELECT visited.day, visited.page, visited.users, visited.sessions, visited.engaged_sessions, visited.conversions,
    visited.revenue, visited.engagement_seconds
  FROM visited
  UNION ALL
  SELECT spent.day, spent.page, 0, 0, 0, 0.0, 0.0, 0
  FROM spent
  INNER JOIN (SELECT DISTINCT visited.day FROM visited) AS days ON days.day = spent.day
  LEFT JOIN visited ON visited.day = spent.day AND visited.page = spent.page
  WHERE visited.page IS NULL
),
brought AS (
{{ brought(dataset) }}
),
brought_days AS (
{{ days_told(dataset, "ga_landing_page_channels") }}
),
-- The title that most people saw, of those that tell of an error.
errors AS (
  SELECT
    raw.date AS day,
    raw.page_path AS page,
    ARRAY_AGG(raw.page_title ORDER BY raw.screen_page_views DESC, raw.page_title LIMIT 1)[OFFSET(0)] AS title
  FROM {{ rows(dataset, "ga_error_pages") }} AS raw
  WHERE raw.date IN UNNEST(@days)
  GROUP BY day, page
)
SELECT
  entered.day AS date,
  entered.page AS entity_id,
  entered.users,
  entered.sessions,
  entered.engaged_sessions,
  entered.sessions - entered.engaged_sessions AS bounces,
  entered.conversions,
  entered.revenue,
  CASE WHEN spent.page IS NOT NULL THEN spent.cost WHEN advertised.is_read THEN 0 END AS cost,
  JSON_OBJECT(
    'engagement_seconds', entered.engagement_seconds,
    'organic_conversions', CAST({{ none_if("brought_days", "brought.organic_conversions") }} AS FLOAT64),
    'organic_sessions', {{ none_if("brought_days", "brought.organic_sessions") }},
    -- Empty where none tells of an error: a page that was repaired is none any more.
    'page_title', COALESCE(errors.title, ''),
    'page_type', {{ page_type("entered.page", "FALSE") }},
    'paid_conversions', CAST({{ none_if("brought_days", "brought.paid_conversions") }} AS FLOAT64),
    'paid_sessions', {{ none_if("brought_days", "brought.paid_sessions") }}
  ) AS attributes
FROM entered
LEFT JOIN spent ON spent.day = entered.day AND spent.page = entered.page
LEFT JOIN advertised ON advertised.day = entered.day
LEFT JOIN brought_days ON brought_days.day = entered.day
LEFT JOIN brought ON brought.day = entered.day AND brought.page = entered.page
LEFT JOIN errors ON errors.day = entered.day AND errors.page = entered.page
