{% from "analytics/sql/pages.jinja" import path %}
{% from "analytics/sql/raw.jinja" import days_read, rows %}
{% from "analytics/sql/search/parts.jinja" import conversions, term, visits %}
-- Searches for the brand, and all others: those that hold one of the tenant's brand terms.
WITH calendar AS (
  SELECT day FROM UNNEST(@days) AS day
),
visited AS (
  {{ days_read(dataset, "ga_landing_page_channels") }}
),
organic AS (
  {{ visits(dataset, "ga_landing_page_channels", "Organic Search") }}
),
clicked AS (
  SELECT
    raw.date AS day,
    {{ term("raw.query") }} AS keyword,
    {{ path("raw.page") }} AS path,
    SUM(raw.clicks) AS clicks,
    SUM(raw.impressions) AS impressions
  FROM {{ rows(dataset, "search_console_queries") }} AS raw
  WHERE raw.date IN UNNEST(@days)
  GROUP BY day, keyword, path
),
brand AS (
  SELECT DISTINCT clicked.keyword
  FROM clicked
  INNER JOIN UNNEST(@brand_terms) AS brand_term
    ON TRIM(brand_term) <> '' AND STRPOS(clicked.keyword, TRIM(brand_term)) > 0
),
queries AS (
  SELECT
    clicked.day,
    IF(brand.keyword IS NULL, 'other', 'brand') AS keyword_group,
    clicked.path,
    SUM(clicked.clicks) AS clicks,
    SUM(clicked.impressions) AS impressions
  FROM clicked
  LEFT JOIN brand ON brand.keyword = clicked.keyword
  GROUP BY day, keyword_group, path
),
conversions AS (
  {{ conversions("keyword_group") }}
),
totals AS (
  SELECT queries.day, queries.keyword_group, SUM(queries.clicks) AS clicks, SUM(queries.impressions) AS impressions
  FROM queries
  GROUP BY queries.day, queries.keyword_group
)
SELECT
  totals.day AS date,
  totals.keyword_group AS entity_id,
  totals.clicks,
  totals.impressions,
  IF(visited.is_read, COALESCE(conversions.conversions, 0), NULL) AS conversions
FROM totals
INNER JOIN visited ON visited.day = totals.day
LEFT JOIN conversions ON conversions.day = totals.day AND conversions.keyword_group = totals.keyword_group
