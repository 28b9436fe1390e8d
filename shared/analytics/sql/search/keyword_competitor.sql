{% from "analytics/sql/search/parts.jinja" import checks, pieces, queries, searches, spelled, tracked %}
-- Where a competitor stood, on the days on which somebody looked: between them nothing is known.
WITH queries AS (
  {{ queries(dataset) }}
),
tracked AS (
  {{ tracked(dataset) }}
),
searches AS (
  {{ searches() }}
),
pieces AS (
  {{ pieces(dataset) }}
),
spelled AS (
  {{ spelled(dataset) }}
),
checks AS (
  {{ checks() }}
)
SELECT
  checks.day AS date,
  CONCAT(checks.keyword, ' | ', checks.competitor) AS entity_id,
  JSON_OBJECT(
    'competitor', checks.competitor,
    'competitor_position', checks.position,
    'keyword', checks.keyword,
    'page', COALESCE(spelled.name, pieces.page)
  ) AS attributes
FROM checks
INNER JOIN tracked ON tracked.keyword = checks.keyword
LEFT JOIN searches ON searches.day = checks.day AND searches.keyword = checks.keyword
LEFT JOIN spelled ON spelled.path = searches.path
LEFT JOIN pieces ON pieces.content_id = tracked.content_id AND pieces.status = 'published'
WHERE checks.day IN UNNEST(@days)
