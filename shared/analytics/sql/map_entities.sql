-- Every entity that has metrics on the given days is an entity of the map; its span only grows, and its
-- name is the newest.
MERGE `{{ dataset }}.entity_map` AS target
USING (
  SELECT
    metrics.entity_type,
    metrics.entity_id,
    MIN(metrics.date) AS first_seen,
    MAX(metrics.date) AS last_seen,
    MAX_BY(JSON_VALUE(metrics.attributes, '$.channel'), metrics.date) AS channel,
    MAX_BY(
      JSON_VALUE(metrics.attributes, '$.title'),
      IF(JSON_VALUE(metrics.attributes, '$.title') IS NULL, NULL, metrics.date)
    ) AS name
  FROM `{{ dataset }}.daily_entity_metrics` AS metrics
  WHERE metrics.date IN UNNEST(@days) AND metrics.entity_type IN UNNEST(@types)
  GROUP BY metrics.entity_type, metrics.entity_id
) AS source
ON target.entity_type = source.entity_type AND target.entity_id = source.entity_id
WHEN MATCHED AND (
  target.first_seen > source.first_seen OR target.last_seen < source.last_seen
  OR (source.last_seen >= target.last_seen AND target.parent_id IS DISTINCT FROM COALESCE(source.channel, target.parent_id))
  OR source.last_seen >= target.last_seen AND target.name IS DISTINCT FROM COALESCE(source.name, target.name)
) THEN UPDATE SET
  name = IF(source.last_seen >= target.last_seen, COALESCE(source.name, target.name), target.name),
  first_seen = LEAST(target.first_seen, source.first_seen),
  last_seen = GREATEST(target.last_seen, source.last_seen),
  parent_type = IF(source.channel IS NULL OR source.last_seen < target.last_seen, target.parent_type, 'channel'),
  parent_id = IF(source.channel IS NULL OR source.last_seen < target.last_seen, target.parent_id, source.channel),
  updated_at = @now
WHEN NOT MATCHED THEN INSERT (
  tenant_id, entity_type, entity_id, name, source, source_collection, parent_type, parent_id,
  first_seen, last_seen, updated_at, schema_version
) VALUES (
  @tenant_id, source.entity_type, source.entity_id, COALESCE(source.name, source.entity_id),
  CASE source.entity_type
    {% for entity_type, source in sources.items() %}
    WHEN '{{ entity_type }}' THEN '{{ source }}'
    {% endfor %}
  END,
  CASE source.entity_type
    {% for entity_type, table in tables.items() %}
    WHEN '{{ entity_type }}' THEN '{{ table }}'
    {% endfor %}
  END,
  IF(source.channel IS NULL, NULL, 'channel'), source.channel,
  source.first_seen, source.last_seen, @now, {{ schema_version }}
)
