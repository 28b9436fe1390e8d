{# One scan of the partitions that the windows need. Adding a detector or a window adds no text: only a metric does. #}
WITH spans AS (
  SELECT
    JSON_VALUE(entry, '$.entity_type') AS entity_type,
    JSON_VALUE(entry, '$.span') AS span,
    CAST(JSON_VALUE(entry, '$.by_date') AS INT64) AS by_date,
    ago
  FROM UNNEST(JSON_EXTRACT_ARRAY(@spans)) AS entry
  CROSS JOIN UNNEST(GENERATE_ARRAY(
    CAST(JSON_VALUE(entry, '$.first') AS INT64), CAST(JSON_VALUE(entry, '$.last') AS INT64)
  )) AS ago
),
calendar AS (
  SELECT
    JSON_VALUE(entry, '$.entity_type') AS entity_type,
    JSON_VALUE(entry, '$.span') AS span,
    CAST(JSON_VALUE(entry, '$.weekday') AS INT64) AS weekday,
    CAST(JSON_VALUE(entry, '$.by_weekday') AS INT64) AS by_weekday,
    CAST(JSON_VALUE(entry, '$.days') AS FLOAT64) AS covered,
    CAST(JSON_VALUE(entry, '$.weight') AS FLOAT64) AS weight
  FROM UNNEST(JSON_EXTRACT_ARRAY(@calendar)) AS entry
),
days AS (
  SELECT
    metrics.entity_type,
    metrics.entity_id,
    EXTRACT(DAYOFWEEK FROM metrics.date) AS weekday,
    DATE_DIFF(@as_of, metrics.date, DAY) AS ago,
    CASE metrics.entity_type
      WHEN 'page' THEN JSON_VALUE(metrics.attributes, '$.page_template')
      WHEN 'source_medium' THEN JSON_VALUE(metrics.attributes, '$.channel')
    END AS kin
{% for name, sql, kinds in metrics %}
    , CAST({{ sql }} AS FLOAT64) AS {{ name }}
{% endfor %}
  FROM `{{ table }}` AS metrics
  WHERE (
{% for range in ranges %}
    {{ 'OR ' if not loop.first }}metrics.date BETWEEN @{{ range }}_first AND @{{ range }}_last
{% endfor %}
  )
  AND metrics.entity_type IN ({{ entity_types }})
),
weekdays AS (
  SELECT
    days.entity_type,
    days.entity_id,
    spans.span,
    days.weekday,
    MAX(days.kin) AS kin,
    COUNT(*) AS seen,
    MAX(days.ago) AS oldest,
    SUM(IF(conversions IS NULL, NULL, revenue)) AS value_revenue,
    SUM(IF(revenue IS NULL, NULL, conversions)) AS value_conversions,
    STRING_AGG(IF(spans.by_date = 1 AND {{ dates_of ~ ' > 0' if dates_of else 'FALSE' }}, CAST(days.ago AS STRING), NULL), ',') AS dates
{% for name, sql, kinds in metrics %}
    , SUM({{ name }}) AS {{ name }}
    , COUNT({{ name }}) AS days_{{ name }}
{% if 'spread' in kinds %}
    , SUM({{ name }} * {{ name }}) AS squares_{{ name }}
{% endif %}
{% if 'log' in kinds %}
    , SUM(LN(GREATEST({{ name }}, 0) + 1)) AS log_{{ name }}
    , SUM(POW(LN(GREATEST({{ name }}, 0) + 1), 2)) AS log2_{{ name }}
{% endif %}
{% if 'above' in kinds %}
    , SUM(IF({{ name }} > 0, 1, 0)) AS above_{{ name }}
{% endif %}
{% endfor %}
  FROM days
  JOIN spans ON spans.entity_type = days.entity_type AND spans.ago = days.ago
  GROUP BY days.entity_type, days.entity_id, spans.span, days.weekday
),
windows AS (
  SELECT
    weekdays.entity_type,
    weekdays.entity_id,
    weekdays.span,
    MAX(weekdays.kin) AS kin,
    TO_JSON_STRING([
      CAST(SUM(seen) AS FLOAT64), CAST(MAX(oldest) AS FLOAT64), SUM(value_revenue), SUM(value_conversions)
{% for name, sql, kinds in metrics %}
{% for kind in kinds %}
{% if kind == 'sum' %}
      , SUM({{ name }})
{% elif kind == 'expected' %}
      , SUM(IFNULL({{ name }}, 0) * weight)
{% elif kind == 'spread' %}
      , SUM(SAFE_DIVIDE(covered * squares_{{ name }} - {{ name }} * {{ name }}, {{ name }}))
{% else %}
      , CAST(SUM({{ kind }}_{{ name }}) AS FLOAT64)
{% endif %}
{% endfor %}
{% endfor %}
    ]) AS numbers,
    STRING_AGG(IF(by_weekday = 1, TO_JSON_STRING([
      CAST(weekdays.weekday AS FLOAT64){% for name, sql, kinds in metrics %}, {{ name }}{% endfor %}

    ]), NULL), ',') AS by_weekday,
    STRING_AGG(dates, ',') AS dates
  FROM weekdays
  JOIN calendar
    ON calendar.entity_type = weekdays.entity_type
    AND calendar.span = weekdays.span
    AND calendar.weekday = weekdays.weekday
  GROUP BY weekdays.entity_type, weekdays.entity_id, weekdays.span
)
SELECT
  entity_type,
  entity_id,
  MAX(kin) AS kin,
  CONCAT('[', STRING_AGG(
    CONCAT('["', span, '",', numbers, ',[', IFNULL(by_weekday, ''), '],[', IFNULL(dates, ''), ']]'), ','
  ), ']') AS numbers
FROM windows
GROUP BY entity_type, entity_id
