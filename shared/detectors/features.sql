{# One scan of the partitions that the windows need; a row for each entity and detector whose guard it passes. #}
WITH calendar AS (
  SELECT
    JSON_VALUE(entry, '$.entity_type') AS entity_type,
    CAST(JSON_VALUE(entry, '$.weekday') AS INT64) AS weekday,
    CAST(JSON_VALUE(entry, '$.own_site') AS INT64) AS own_site
{% for name in calendar_counts %}
    , CAST(JSON_VALUE(entry, '$.{{ name }}') AS INT64) AS {{ name }}
{% endfor %}
{% for name in calendar_weights %}
    , CAST(JSON_VALUE(entry, '$.{{ name }}') AS FLOAT64) AS {{ name }}
{% endfor %}
  FROM UNNEST(JSON_EXTRACT_ARRAY(@calendar)) AS entry
),
days AS (
  SELECT
    metrics.entity_type,
    metrics.entity_id,
    EXTRACT(DAYOFWEEK FROM metrics.date) AS weekday,
    DATE_DIFF(@as_of, metrics.date, DAY) AS ago
{% if templates %}
    , IF(metrics.entity_type = 'page', COALESCE(
        JSON_VALUE(metrics.attributes, '$.page_template'),
        CONCAT('/', IFNULL(REGEXP_EXTRACT(metrics.entity_id, r'^/+([^/?#]+)'), ''))
      ), NULL) AS page_template
{% endif %}
    , CASE metrics.entity_type
        WHEN 'channel' THEN metrics.entity_id
        WHEN 'source_medium' THEN JSON_VALUE(metrics.attributes, '$.channel')
      END AS channel
{% for name, sql in metrics %}
    , {{ sql }} AS {{ name }}
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
    entity_type,
    entity_id,
    weekday,
    MAX(channel) AS channel
{% if templates %}
    , MAX(page_template) AS page_template
{% endif %}
{% for name, sql in weekday %}
    , {{ sql }} AS {{ name }}
{% endfor %}
  FROM days
  GROUP BY entity_type, entity_id, weekday
),
entities AS (
  SELECT
    weekdays.entity_type,
    weekdays.entity_id,
    MAX(calendar.own_site) AS own_site,
    MAX(weekdays.channel) AS channel
{% if templates %}
    , MAX(weekdays.page_template) AS page_template
{% endif %}
{% for name, sql in entity %}
    , {{ sql }} AS {{ name }}
{% endfor %}
  FROM weekdays
  JOIN calendar ON calendar.entity_type = weekdays.entity_type AND calendar.weekday = weekdays.weekday
  GROUP BY weekdays.entity_type, weekdays.entity_id
),
compared AS (
  SELECT
    entities.*
    , ROW_NUMBER() OVER (PARTITION BY entity_type ORDER BY entity_id) AS turn
    , MAX(IF(entity_type = 'property', entity_id, NULL)) OVER () AS property_id
    , SUM(IF(entity_type = 'channel', raw_value_revenue, NULL)) OVER (PARTITION BY channel) AS channel_value_revenue
    , SUM(IF(entity_type = 'channel', raw_value_conversions, NULL)) OVER (PARTITION BY channel) AS channel_value_conversions
{% for name, sql in compared %}
    , {{ sql }} AS {{ name }}
{% endfor %}
  FROM entities
),
filled AS (
  SELECT
    entity_type,
    entity_id,
    turn,
    property_id,
    IF(channel IS NULL, NULL, channel_value_revenue) AS channel_value_revenue,
    IF(channel IS NULL, NULL, channel_value_conversions) AS channel_value_conversions
{% if templates %}
    , page_template
{% endif %}
{% for name in kept %}
    , {{ name }}
{% endfor %}
{% for name, sql in filled %}
    , {{ sql }} AS {{ name }}
{% endfor %}
  FROM compared
),
valued AS (
  SELECT
    filled.*
    , SAFE_DIVIDE(site_value_revenue * 30, days_0_89) AS site_monthly_revenue
    , CASE
        WHEN @value_per_conversion > 0 THEN 'tenant'
        WHEN value_conversions >= {{ least_conversions }} AND value_revenue > 0 THEN 'entity'
        WHEN channel_value_conversions >= {{ least_conversions }} AND channel_value_revenue > 0 THEN 'channel'
        WHEN site_value_conversions > 0 AND site_value_revenue > 0 THEN 'site'
      END AS value_source
    , CASE
        WHEN @value_per_conversion > 0 THEN @value_per_conversion
        WHEN value_conversions >= {{ least_conversions }} AND value_revenue > 0
          THEN SAFE_DIVIDE(value_revenue, value_conversions)
        WHEN channel_value_conversions >= {{ least_conversions }} AND channel_value_revenue > 0
          THEN SAFE_DIVIDE(channel_value_revenue, channel_value_conversions)
        WHEN site_value_conversions > 0 AND site_value_revenue > 0
          THEN SAFE_DIVIDE(site_value_revenue, site_value_conversions)
      END AS value_per_conversion
  FROM filled
){% for layer in layers %}
,
layer_{{ loop.index }} AS (
  SELECT
    below.*
{% for name, sql in layer %}
    , {{ sql }} AS {{ name }}
{% endfor %}
  FROM {{ 'valued' if loop.first else 'layer_%d' % loop.index0 }} AS below
){% endfor %}

SELECT
  judged.entity_type,
  judged.entity_id,
  judged.property_id,
  verdict.detector_id,
  verdict.numbers
FROM {{ 'layer_%d' % layers | length if layers else 'valued' }} AS judged
CROSS JOIN UNNEST(CASE judged.entity_type
{% for entity_type, verdicts in verdicts %}
  WHEN '{{ entity_type }}' THEN [
{% for verdict in verdicts %}
    STRUCT('{{ verdict.id }}' AS detector_id, IF({{ verdict.guard }},
      IF({{ verdict.effect }}, TO_JSON_STRING(STRUCT(
        {{ verdict.numbers }}
      )), TO_JSON_STRING(STRUCT(
        {{ verdict.arguments }}
      ))), NULL) AS numbers){{ ',' if not loop.last }}
{% endfor %}
  ]
{% endfor %}
END) AS verdict
WHERE verdict.numbers IS NOT NULL
ORDER BY verdict.detector_id, judged.entity_id
