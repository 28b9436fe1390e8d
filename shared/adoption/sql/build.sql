-- The extension's times are its event's, not the write's: they order its own rows, and must never outrank a write that
-- Scout knows by its update_time. So versions of adopted rows lie decades back: anything that Scout streams or reads beats
-- them. Those of imports, whose time says nothing, lie before those of all events.
MERGE `{{ base }}` AS base
USING (
  SELECT
    timestamp,
    event_id,
    document_name,
    document_id,
    operation,
    data,
    IF(deleted, old_data, NULL) AS old_data,
    path_params,
    version,
    deleted,
    @adopted_at AS appended_at,
    -- Not written by Scout: so a comparison asks of it only what the extension can keep.
    CAST(NULL AS INT64) AS schema_version,
    IF(NOT deleted AND SAFE.PARSE_JSON(data) IS NULL, 'the extension wrote no JSON', NULL) AS refused_reason,
    CAST(NULL AS TIMESTAMP) AS create_time
  FROM (
    SELECT
      timestamp,
      event_id,
      document_name,
      document_id,
      operation,
      data,
      old_data,
      path_params,
      deleted,
      IF(
        operation = 'IMPORT',
        TIMESTAMP_SUB(timestamp, INTERVAL 17897 DAY),
        TIMESTAMP_SUB(timestamp, INTERVAL 14610 DAY)
      ) AS version
    FROM (
{{ changes }}
    ) AS changes
  ) AS versions
  QUALIFY ROW_NUMBER() OVER (
    PARTITION BY document_name ORDER BY version DESC, deleted DESC, operation DESC, event_id DESC
  ) = 1
) AS adopted
ON base.document_name = adopted.document_name
WHEN MATCHED AND (
  adopted.version > base.version OR (adopted.version = base.version AND adopted.deleted AND NOT base.deleted)
) THEN
  UPDATE SET
{% for column in columns if column != "document_name" %}
    {{ column }} = adopted.{{ column }}{{ "," if not loop.last }}
{% endfor %}
WHEN NOT MATCHED THEN
  INSERT ({{ columns | join(", ") }})
  VALUES ({% for column in columns %}adopted.{{ column }}{{ ", " if not loop.last }}{% endfor %})
