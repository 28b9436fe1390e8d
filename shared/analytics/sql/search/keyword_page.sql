{% from "analytics/sql/pages.jinja" import page_type %}
{% from "analytics/sql/search/parts.jinja" import pieces, position, queries, searches, spelled, tracked %}
-- The pages that were shown for each keyword, on days on which they were: by their path, however they are spelled.
WITH queries AS (
  {{ queries(dataset, days_before=27) }}
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
written AS (
  SELECT DISTINCT pieces.path
  FROM pieces
  WHERE pieces.path IS NOT NULL
),
spelled AS (
  {{ spelled(dataset) }}
)
SELECT
  queries.day AS date,
  CONCAT(queries.keyword, ' | ', queries.path) AS entity_id,
  queries.clicks,
  queries.impressions,
  {{ position("queries") }} AS position,
  JSON_OBJECT(
    'best_placed', IF(
      ROW_NUMBER() OVER (
        PARTITION BY queries.day, queries.keyword
        ORDER BY {{ position("queries") }}, queries.impressions DESC, queries.path
      ) = 1, 1, 0
    ),
    'intent', tracked.intent,
    'keyword', queries.keyword,
    'page', COALESCE(spelled.name, queries.path),
    'page_type', {{ page_type("queries.path", "written.path IS NOT NULL") }}
  ) AS attributes
FROM queries
INNER JOIN searches ON searches.day = queries.day AND searches.keyword = queries.keyword
LEFT JOIN tracked ON tracked.keyword = queries.keyword
LEFT JOIN written ON written.path = queries.path
LEFT JOIN spelled ON spelled.path = queries.path
WHERE queries.impressions > 0
