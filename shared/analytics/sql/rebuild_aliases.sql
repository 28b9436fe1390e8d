-- What other sources call the entities of one group, as it is now: a rerun changes nothing.
MERGE `{{ dataset }}.entity_aliases` AS target
USING (
{{ select }}
) AS source
ON target.entity_type = source.entity_type AND target.source = source.source AND target.alias = source.alias
WHEN MATCHED AND (
  target.entity_id IS DISTINCT FROM source.entity_id
  OR target.how IS DISTINCT FROM source.how
  OR target.made_by IS DISTINCT FROM '{{ group }}'
) THEN UPDATE SET
  entity_id = source.entity_id,
  how = source.how,
  made_by = '{{ group }}',
  updated_at = @now,
  schema_version = {{ schema_version }}
WHEN NOT MATCHED BY TARGET THEN INSERT (
  tenant_id, entity_type, source, alias, entity_id, how, made_by, updated_at, schema_version
) VALUES (
  @tenant_id, source.entity_type, source.source, source.alias, source.entity_id, source.how, '{{ group }}', @now,
  {{ schema_version }}
)
WHEN NOT MATCHED BY SOURCE AND target.made_by = '{{ group }}' THEN DELETE
