-- What each raw table holds of each day, and how its loads stand at the day's end: there is a row for every day since its
-- first, as a table into which nothing comes any more has none of its own.
{% macro total(column, where="TRUE") -%}
CAST(SUM(IF({{ where }}, CAST(raw.{{ column }} AS NUMERIC), 0)) AS FLOAT64)
{%- endmacro %}
WITH told AS (
{% for table in tables %}
{% set measured = table.measured %}
{% set ours = "raw." ~ measured.currency ~ " = @currency" if measured.currency else "TRUE" %}
  SELECT
    raw.date AS day,
    '{{ table.name }}' AS name,
    COUNT(*) AS row_count,
    {{ total(measured.main) if measured.main else "CAST(NULL AS FLOAT64)" }} AS main,
    {{ "SUM(raw." ~ measured.sessions ~ ")" if measured.sessions else "CAST(NULL AS INT64)" }} AS sessions,
    {% for money in ("cost", "revenue") %}
    {% set column = measured[money] %}
    {{ total(column, ours) if column else "CAST(NULL AS FLOAT64)" }} AS {{ money }},
    {% endfor %}
    {% if measured.alias %}
    {% for kind in ("sessions", "cost", "revenue") %}
    {% set column = measured[kind] %}
    {{ total(column, ours ~ " AND aliases.how = 'own'") if column else "CAST(NULL AS FLOAT64)" }} AS unmapped_{{ kind }},
    {% endfor %}
    {% else %}
    CAST(NULL AS FLOAT64) AS unmapped_sessions,
    CAST(NULL AS FLOAT64) AS unmapped_cost,
    CAST(NULL AS FLOAT64) AS unmapped_revenue,
    {% endif %}
    {% if measured.currency %}
    COUNT(DISTINCT raw.{{ measured.currency }}) AS currencies,
    COUNTIF(raw.{{ measured.currency }} <> @currency) AS foreign_rows,
    {% else %}
    CAST(NULL AS INT64) AS currencies,
    CAST(NULL AS INT64) AS foreign_rows,
    {% endif %}
    {% if measured.amount %}
    CAST(
      ARRAY_AGG(raw.{{ measured.amount }} IGNORE NULLS ORDER BY raw.{{ measured.amount }})
        [SAFE_OFFSET(DIV(COUNT(raw.{{ measured.amount }}), 2))] AS FLOAT64
    ) AS median_amount
    {% else %}
    CAST(NULL AS FLOAT64) AS median_amount
    {% endif %}
  FROM `{{ dataset }}.{{ table.name }}` AS raw
  {% if measured.alias %}
  LEFT JOIN `{{ dataset }}.entity_aliases` AS aliases
    ON aliases.entity_type = '{{ measured.alias_of }}'
    AND aliases.source = '{{ table.source }}'
    AND aliases.alias = raw.{{ measured.alias }}
  {% endif %}
  WHERE raw.date BETWEEN @first_day AND @last_day
  GROUP BY raw.date
  {% if not loop.last %}
  UNION ALL
  {% endif %}
{% endfor %}
),
began AS (
  SELECT seen.name, MIN(seen.day) AS day
  FROM (
    SELECT told.name, told.day FROM told
    UNION ALL
    SELECT known.entity_id, known.first_seen
    FROM `{{ dataset }}.entity_map` AS known
    WHERE known.entity_type = 'source_table'
  ) AS seen
  GROUP BY seen.name
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
-- 0 of what a table measures, on days of which it tells nothing.
nothing AS (
{% for table in tables %}
  SELECT
    '{{ table.name }}' AS name,
    {{ "0" if table.measured.sessions else "CAST(NULL AS INT64)" }} AS sessions,
    {{ "0.0" if table.measured.cost else "CAST(NULL AS FLOAT64)" }} AS cost,
    {{ "0.0" if table.measured.revenue else "CAST(NULL AS FLOAT64)" }} AS revenue,
    {% for kind in ("sessions", "cost", "revenue") %}
    {{ "0.0" if table.measured.alias and table.measured[kind] else "CAST(NULL AS FLOAT64)" }} AS unmapped_{{ kind }},
    {% endfor %}
    {{ "0" if table.measured.currency else "CAST(NULL AS INT64)" }} AS foreign_rows
  {% if not loop.last %}
  UNION ALL
  {% endif %}
{% endfor %}
)
SELECT
  calendar.day AS date,
  began.name AS entity_id,
  COALESCE(told.sessions, nothing.sessions) AS sessions,
  COALESCE(told.cost, nothing.cost) AS cost,
  COALESCE(told.revenue, nothing.revenue) AS revenue,
  JSON_OBJECT(
    'currencies', told.currencies,
    'first_metric', COALESCE(remembered.first_metric, told.main),
    'foreign_rows', COALESCE(told.foreign_rows, nothing.foreign_rows),
    'hours_since_load', standing.hours_since_load,
    'loads', COALESCE(standing.loads, 0),
    'median_amount', told.median_amount,
    'restated_metric', COALESCE(told.main, IF(remembered.first_metric IS NULL, NULL, 0.0)),
    'row_count', COALESCE(told.row_count, 0),
    'unmapped_cost', COALESCE(told.unmapped_cost, nothing.unmapped_cost),
    'unmapped_revenue', COALESCE(told.unmapped_revenue, nothing.unmapped_revenue),
    'unmapped_sessions', COALESCE(told.unmapped_sessions, nothing.unmapped_sessions),
    'usual_interval_hours', standing.usual_interval_hours
  ) AS attributes
FROM began
INNER JOIN nothing ON nothing.name = began.name
INNER JOIN calendar ON calendar.day >= began.day
LEFT JOIN told ON told.name = began.name AND told.day = calendar.day
LEFT JOIN standing ON standing.name = began.name AND standing.day = calendar.day
LEFT JOIN remembered ON remembered.name = began.name AND remembered.day = calendar.day
