WITH
  stored AS (
    SELECT
      document_name, version, deleted, refused_reason, appended_at, TRUE AS in_base,
      schema_version IS NULL AS adopted,
      {{ "data" if named else "TO_HEX(MD5(data)) AS fingerprint, IF(schema_version IS NULL, data, NULL) AS data" }}{{ ", " ~ ttl ~ " AS expires_at" if ttl }}
    FROM `{{ base }}`
    WHERE {{ "document_name IN UNNEST(@names)" if named else "REGEXP_CONTAINS(document_name, @pattern)" }}
    UNION ALL
    SELECT
      document_name, version, deleted, refused_reason, appended_at, FALSE AS in_base,
      schema_version IS NULL AS adopted,
      {{ "data" if named else "TO_HEX(MD5(data)) AS fingerprint, IF(schema_version IS NULL, data, NULL) AS data" }}{{ ", " ~ ttl ~ " AS expires_at" if ttl }}
    FROM `{{ log }}`
    WHERE appended_at >= @tail_from AND operation != 'EXPIRE'
      AND {{ "document_name IN UNNEST(@names)" if named else "REGEXP_CONTAINS(document_name, @pattern)" }}
  ),
  current_rows AS (
    -- The order of the exact view: of equal changes a valid row, then the base's, then the first that was appended.
    SELECT stored.*, SUM(IF(in_base, 1, 0)) OVER (PARTITION BY document_name) AS base_rows
    FROM stored
    QUALIFY ROW_NUMBER() OVER (
      PARTITION BY document_name
      ORDER BY version DESC, deleted DESC, refused_reason IS NULL DESC, in_base DESC, appended_at
    ) = 1
  )
SELECT
  document_name,
  {{ "UNIX_MICROS(version) AS version" if named else "version" }},
  IF(base_rows > 1, 'it is in the base more than once', refused_reason) AS refused_reason,
  {{ "COALESCE(expires_at <= @read_at, FALSE)" if ttl else "FALSE" }} AS optional,
  adopted,
  data,
{% if named %}
  deleted
{% else %}
  COALESCE(fingerprint, '') AS fingerprint,
  REPLACE(document_name, '/', CHR(1)) AS position
{% endif %}
FROM current_rows
{% if not named %}
WHERE NOT deleted
{% endif %}
