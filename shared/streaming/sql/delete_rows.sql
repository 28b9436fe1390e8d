DELETE FROM `{{ table }}`
WHERE document_name IN UNNEST(@names)
  AND CONCAT(
    document_name, ' ', CAST(UNIX_MICROS(version) AS STRING), ' ', IF(deleted, '1', '0'), ' ',
    CAST(UNIX_MICROS(appended_at) AS STRING)
  ) IN UNNEST(@rows)
