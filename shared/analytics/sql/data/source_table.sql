-- What each raw table holds of each day, and how its loads stand at the day's end: there is a row for every day since its
-- first, as a table into which nothing comes any more has none of its own.
{% macro total(column, where="") -%}
CAST(SUM({{ "IF(" ~ where ~ ", " if where }}CAST(raw.{{ column }} AS NUMERIC){{ ", 0)" if where }}) AS FLOAT64)
{%- endmacro %}
WITH told AS (
{% for table in tables %}
{% set columns = table.measured %}
{% set ours = "raw." ~ columns.currency ~ " = @currency" if columns.currency else "" %}
  SELECT
    raw.date AS day,
    '{{ table.name }}' AS name,
    JSON_OBJECT(
      {% if columns.main %}
      'main', {{ total(columns.main) }},
      {% endif %}
      {% for kind in table.counted %}
      '{{ kind }}', {{ total(columns[kind], ours if kind != "sessions" else "") }},
      {% endfor %}
      {% for kind in table.mapped %}
      'unmapped_{{ kind }}', {{ total(columns[kind], "aliases.how = 'own'" ~ (" AND " ~ ours if ours and kind != "sessions" else "")) }},
      {% endfor %}
      {% if columns.currency %}
      'currencies', COUNT(DISTINCT raw.{{ columns.currency }}),
      'foreign_rows', COUNTIF(raw.{{ columns.currency }} <> @currency),
      {% endif %}
      {% if columns.amount %}
      'median_amount', CAST(
        ARRAY_AGG(raw.{{ columns.amount }} IGNORE NULLS ORDER BY raw.{{ columns.amount }})
          [SAFE_OFFSET(DIV(COUNT(raw.{{ columns.amount }}), 2))] AS FLOAT64
      ),
      {% endif %}
      'row_count', COUNT(*)
    ) AS measured
  FROM `{{ dataset }}.{{ table.name }}` AS raw
  {% if table.mapped %}
  LEFT JOIN `{{ dataset }}.entity_aliases` AS aliases
    ON aliases.entity_type = '{{ columns.alias_of }}'
    AND aliases.source = '{{ table.source }}'
    AND aliases.alias = raw.{{ columns.alias }}
  {% endif %}
  WHERE raw.date BETWEEN @first_day AND @last_day
  GROUP BY raw.date
  {% if not loop.last %}
  UNION ALL
  {% endif %}
{% endfor %}
),
-- What a table measures is 0 on days of which it tells nothing.
began AS (
  SELECT nothing.name, PARSE_JSON(nothing.measured) AS measured, MIN(seen.day) AS day
  FROM UNNEST([
    {% for table in tables %}
    STRUCT('{{ table.name }}' AS name, '{{ table.nothing }}' AS measured){{ "," if not loop.last }}
    {% endfor %}
  ]) AS nothing
  INNER JOIN (
    SELECT told.name, told.day FROM told
    UNION ALL
    SELECT known.entity_id, known.first_seen
    FROM `{{ dataset }}.entity_map` AS known
    WHERE known.entity_type = 'source_table'
  ) AS seen ON seen.name = nothing.name
  GROUP BY nothing.name, nothing.measured
),
loads AS (
  SELECT counts.subject AS name, MIN(counts.counted_at) AS loaded_at
  FROM `{{ dataset }}.stage_counts` AS counts
  WHERE counts.stage = 'stream' AND counts.note IS NULL
  GROUP BY counts.subject, counts.run_id
),
gaps AS (
  SELECT
    loads.name,
    loads.loaded_at,
    TIMESTAMP_DIFF(
      loads.loaded_at, LAG(loads.loaded_at) OVER (PARTITION BY loads.name ORDER BY loads.loaded_at), SECOND
    ) / 3600 AS hours
  FROM loads
),
calendar AS (
  SELECT day, TIMESTAMP(DATE_ADD(day, INTERVAL 1 DAY)) AS ends_at
  FROM UNNEST(@days) AS day
),
standing AS (
  SELECT
    calendar.day,
    gaps.name,
    COUNT(*) AS loads,
    TIMESTAMP_DIFF(calendar.ends_at, MAX(gaps.loaded_at), SECOND) / 3600 AS hours_since_load,
    ARRAY_AGG(gaps.hours IGNORE NULLS ORDER BY gaps.hours)[SAFE_OFFSET(DIV(COUNT(gaps.hours), 2))]
      AS usual_interval_hours
  FROM calendar
  INNER JOIN gaps ON gaps.loaded_at < calendar.ends_at
  GROUP BY calendar.day, calendar.ends_at, gaps.name
),
-- What the day was when it was first made: the row that is there remembers it.
remembered AS (
  SELECT
    metrics.date AS day,
    metrics.entity_id AS name,
    SAFE_CAST(JSON_VALUE(metrics.attributes, '$.first_metric') AS FLOAT64) AS first_metric
  FROM `{{ dataset }}.daily_entity_metrics` AS metrics
  WHERE metrics.date BETWEEN @first_day AND @last_day AND metrics.entity_type = 'source_table'
),
stated AS (
  SELECT
    calendar.day,
    began.name,
    COALESCE(told.measured, began.measured) AS measured,
    SAFE_CAST(JSON_VALUE(told.measured, '$.main') AS FLOAT64) AS main,
    remembered.first_metric,
    COALESCE(standing.loads, 0) AS loads,
    standing.hours_since_load,
    standing.usual_interval_hours
  FROM began
  INNER JOIN calendar ON calendar.day >= began.day
  LEFT JOIN told ON told.name = began.name AND told.day = calendar.day
  LEFT JOIN standing ON standing.name = began.name AND standing.day = calendar.day
  LEFT JOIN remembered ON remembered.name = began.name AND remembered.day = calendar.day
)
SELECT
  stated.day AS date,
  stated.name AS entity_id,
  CAST(SAFE_CAST(JSON_VALUE(stated.measured, '$.sessions') AS FLOAT64) AS INT64) AS sessions,
  SAFE_CAST(JSON_VALUE(stated.measured, '$.cost') AS FLOAT64) AS cost,
  SAFE_CAST(JSON_VALUE(stated.measured, '$.revenue') AS FLOAT64) AS revenue,
  JSON_OBJECT(
    'first_metric', COALESCE(stated.first_metric, stated.main),
    'hours_since_load', stated.hours_since_load,
    'loads', stated.loads,
    'restated_metric', COALESCE(stated.main, IF(stated.first_metric IS NULL, NULL, 0.0)),
    'usual_interval_hours', stated.usual_interval_hours,
    {% for key in ("currencies", "foreign_rows", "median_amount", "row_count", "unmapped_cost", "unmapped_revenue", "unmapped_sessions") %}
    '{{ key }}', SAFE_CAST(JSON_VALUE(stated.measured, '$.{{ key }}') AS FLOAT64){{ "," if not loop.last }}
    {% endfor %}
  ) AS attributes
FROM stated
