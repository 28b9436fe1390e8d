{% from "analytics/sql/pages.jinja" import host, path %}
{% from "analytics/sql/raw.jinja" import rows %}
-- Pages by their address, as Search Console and the content pieces have it -> as Google Analytics spells them.
WITH visited AS (
  SELECT raw.landing_page AS name, SUM(raw.sessions) AS sessions
  FROM {{ rows(dataset, "ga_landing_pages") }} AS raw
  WHERE raw.date > DATE_SUB(@last_day, INTERVAL 430 DAY)
  GROUP BY raw.landing_page
  UNION ALL
  SELECT raw.page_path, SUM(raw.sessions)
  FROM {{ rows(dataset, "ga_page_performance") }} AS raw
  WHERE raw.date > DATE_SUB(@last_day, INTERVAL 430 DAY)
  GROUP BY raw.page_path
),
spellings AS (
  SELECT visited.name, {{ path("visited.name") }} AS path, SUM(visited.sessions) AS sessions
  FROM visited
  GROUP BY visited.name
),
-- Of several spellings of one page the one with the most visits.
pages AS (
  SELECT spellings.path, spellings.name
  FROM spellings
  QUALIFY ROW_NUMBER() OVER (PARTITION BY spellings.path ORDER BY spellings.sessions DESC, spellings.name) = 1
),
addresses AS (
  SELECT DISTINCT 'search_console' AS source, raw.page AS alias
  FROM {{ rows(dataset, "search_console_queries") }} AS raw
  WHERE raw.date > DATE_SUB(@last_day, INTERVAL 430 DAY)
  UNION ALL
  -- What was published elsewhere is no page of ours.
  SELECT 'content', pieces.url
  FROM `{{ dataset }}.content_pieces` AS pieces
  CROSS JOIN UNNEST(@own_domains) AS domain
  WHERE pieces.url <> ''
  GROUP BY pieces.url
  HAVING LOGICAL_OR(
    domain = '' OR {{ host("pieces.url") }} IN ('', domain) OR ENDS_WITH({{ host("pieces.url") }}, CONCAT('.', domain))
  )
)
SELECT
  'page' AS entity_type,
  addresses.source,
  addresses.alias,
  COALESCE(pages.name, {{ path("addresses.alias") }}) AS entity_id,
  IF(pages.name IS NULL, 'own', 'url') AS how
FROM addresses
LEFT JOIN pages ON pages.path = {{ path("addresses.alias") }}
