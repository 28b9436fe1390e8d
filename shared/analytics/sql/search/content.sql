{% from "analytics/sql/pages.jinja" import path %}
{% from "analytics/sql/raw.jinja" import days_read, rows %}
{% from "analytics/sql/search/parts.jinja" import pieces, position, queries, visits %}
-- A piece has a row for every day since it was published on which visits or searches were read, had it some or none;
-- drafts have none.
WITH calendar AS (
  SELECT day FROM UNNEST(@days) AS day
),
viewed AS (
  {{ days_read(dataset, "ga_page_performance") }}
),
searched AS (
  {{ days_read(dataset, "search_console_queries") }}
),
visited AS (
  {{ days_read(dataset, "ga_landing_pages") }}
),
by_channel AS (
  {{ days_read(dataset, "ga_landing_page_channels") }}
),
visits AS (
  {{ visits(dataset, "ga_landing_pages") }}
),
views AS (
  SELECT raw.date AS day, {{ path("raw.page_path") }} AS path, SUM(raw.screen_page_views) AS views
  FROM {{ rows(dataset, "ga_page_performance") }} AS raw
  WHERE raw.date BETWEEN @first_day AND @last_day
  GROUP BY day, path
),
organic AS (
  {{ visits(dataset, "ga_landing_page_channels", "Organic Search") }}
),
queries AS (
  {{ queries(dataset) }}
),
shown AS (
  SELECT
    queries.day,
    queries.path,
    SUM(queries.clicks) AS clicks,
    SUM(queries.impressions) AS impressions,
    SUM(queries.places) AS places
  FROM queries
  GROUP BY queries.day, queries.path
),
pieces AS (
  {{ pieces(dataset) }}
)
SELECT
  calendar.day AS date,
  pieces.content_id AS entity_id,
  IF(visited.is_read AND pieces.path IS NOT NULL, COALESCE(visits.sessions, 0), NULL) AS sessions,
  IF(visited.is_read AND pieces.path IS NOT NULL, COALESCE(visits.conversions, 0), NULL) AS conversions,
  IF(viewed.is_read AND pieces.path IS NOT NULL, COALESCE(views.views, 0), NULL) AS pageviews,
  IF(searched.is_read AND pieces.path IS NOT NULL, COALESCE(shown.clicks, 0), NULL) AS clicks,
  IF(searched.is_read AND pieces.path IS NOT NULL, COALESCE(shown.impressions, 0), NULL) AS impressions,
  {{ position("shown") }} AS position,
  JSON_OBJECT(
    'content_age_days', DATE_DIFF(calendar.day, pieces.since, DAY),
    'content_status', pieces.status,
    'engagement_seconds', IF(
      visits.day IS NULL, IF(visited.is_read AND pieces.path IS NOT NULL, 0, NULL), visits.engagement_seconds
    ),
    'hub_id', pieces.hub_id,
    'meta_description', pieces.meta_description,
    'organic_sessions', IF(by_channel.is_read AND pieces.path IS NOT NULL, COALESCE(organic.sessions, 0), NULL),
    'page', pieces.page,
    -- As Search Console measured it; as the piece has it where nobody was shown it.
    'ranking_position', COALESCE(
      {{ position("ranked") }}, CAST(pieces.ranking_position AS FLOAT64)
    ),
    'title', pieces.title,
    'word_count', pieces.word_count
  ) AS attributes
FROM calendar
INNER JOIN pieces ON pieces.since <= calendar.day
INNER JOIN searched ON searched.day = calendar.day
INNER JOIN viewed ON viewed.day = calendar.day
INNER JOIN visited ON visited.day = calendar.day
INNER JOIN by_channel ON by_channel.day = calendar.day
LEFT JOIN visits ON visits.day = calendar.day AND visits.path = pieces.path
LEFT JOIN views ON views.day = calendar.day AND views.path = pieces.path
LEFT JOIN organic ON organic.day = calendar.day AND organic.path = pieces.path
LEFT JOIN shown ON shown.day = calendar.day AND shown.path = pieces.path
LEFT JOIN queries AS ranked
  ON ranked.day = calendar.day AND ranked.path = pieces.path AND ranked.keyword = pieces.keyword
WHERE visited.is_read OR searched.is_read
