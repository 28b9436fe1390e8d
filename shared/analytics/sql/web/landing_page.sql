{% from "analytics/sql/pages.jinja" import page_type %}
{% from "analytics/sql/web/parts.jinja" import brought, none_if, seconds, told_by %}
WITH entered AS (
  SELECT
    raw.date,
    raw.landing_page AS page,
    SUM(raw.total_users) AS users,
    SUM(raw.sessions) AS sessions,
    SUM(raw.engaged_sessions) AS engaged_sessions,
    CAST(SUM(CAST(raw.key_events AS NUMERIC)) AS FLOAT64) AS conversions,
    CAST(SUM(CAST(raw.purchase_revenue AS NUMERIC)) AS FLOAT64) AS revenue,
    {{ seconds() }} AS engagement_seconds
  FROM `{{ dataset }}.ga_landing_pages` AS raw
  WHERE raw.date IN UNNEST(@days)
  GROUP BY raw.date, raw.landing_page
),
brought AS (
{{ brought(dataset) }}
),
brought_days AS (
{{ told_by(dataset, "ga_landing_page_channels") }}
),
-- The title that most people saw, of those that tell of an error.
errors AS (
  SELECT raw.date AS day, raw.page_path AS page, MAX_BY(raw.page_title, raw.screen_page_views) AS title
  FROM `{{ dataset }}.ga_error_pages` AS raw
  WHERE raw.date IN UNNEST(@days)
  GROUP BY day, page
)
SELECT
  entered.date,
  entered.page AS entity_id,
  entered.users,
  entered.sessions,
  entered.engaged_sessions,
  entered.sessions - entered.engaged_sessions AS bounces,
  entered.conversions,
  entered.revenue,
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
LEFT JOIN brought_days ON brought_days.day = entered.date
LEFT JOIN brought ON brought.day = entered.date AND brought.page = entered.page
LEFT JOIN errors ON errors.day = entered.date AND errors.page = entered.page
