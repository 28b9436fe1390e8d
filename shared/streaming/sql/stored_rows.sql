SELECT
  document_name,
  UNIX_MICROS(version) AS version,
  deleted,
  UNIX_MICROS(appended_at) AS appended_micros,
  UNIX_MICROS(create_time) AS created_micros,
  TRUE AS in_base
FROM `{{ base }}`
WHERE document_name IN UNNEST(@names)
UNION ALL
SELECT
  document_name,
  UNIX_MICROS(version) AS version,
  deleted,
  UNIX_MICROS(appended_at) AS appended_micros,
  UNIX_MICROS(create_time) AS created_micros,
  FALSE AS in_base
FROM `{{ log }}`
WHERE document_name IN UNNEST(@names) AND operation != 'EXPIRE'
