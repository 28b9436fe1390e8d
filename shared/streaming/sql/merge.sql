MERGE `{{ base }}` AS base
USING (
  SELECT
{% for column in columns %}
{% if column == "old_data" %}
    IF(deleted, old_data, NULL) AS old_data{{ "," if not loop.last }}
{% elif column == "schema_version" %}
    LEAST(schema_version, {{ schema_version }}) AS schema_version{{ "," if not loop.last }}
{% else %}
    {{ column }}{{ "," if not loop.last }}
{% endif %}
{% endfor %}
  FROM `{{ log }}`
  WHERE appended_at >= @tail_from AND operation != 'EXPIRE'
{% if pruned_by %}
    -- Rows that came since the bounds were taken wait for the next merge where the pruned one could not find their base.
    AND {{ pruned_by }} BETWEEN @first_partition AND @last_partition
    AND document_name NOT IN (
      SELECT document_name FROM `{{ base }}` WHERE NOT ({{ pruned_by }} BETWEEN @first_partition AND @last_partition)
    )
{% endif %}
  -- Refused once and valid since, when its declaration was mended and its event replayed: the valid row counts.
  QUALIFY
    ROW_NUMBER() OVER (
      PARTITION BY document_name ORDER BY version DESC, deleted DESC, refused_reason IS NULL DESC, appended_at
    ) = 1
) AS tail
ON base.document_name = tail.document_name
{% if pruned_by %}
  AND (base.{{ pruned_by }} BETWEEN @first_partition AND @last_partition OR base.{{ pruned_by }} IS NULL)
{% endif %}
WHEN MATCHED AND (
  tail.version > base.version
  OR (
    tail.version = base.version
    AND NOT base.deleted
    AND (tail.deleted OR (tail.refused_reason IS NULL AND base.refused_reason IS NOT NULL))
  )
) THEN
  UPDATE SET
{% for column in columns if column != "document_name" %}
    {{ column }} = tail.{{ column }}{{ "," if not loop.last }}
{% endfor %}
WHEN NOT MATCHED THEN
  INSERT ({{ columns | join(", ") }})
  VALUES ({% for column in columns %}tail.{{ column }}{{ ", " if not loop.last }}{% endfor %})
