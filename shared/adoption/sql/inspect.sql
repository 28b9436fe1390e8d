WITH
  changes AS (
{{ changes }}
  ),
  counted AS (
    SELECT
      timestamp, document_name, operation, data, deleted,
      COUNT(*) OVER (PARTITION BY document_name, timestamp, operation, data) AS times,
      MAX(timestamp) OVER (PARTITION BY document_name) AS last_at,
      ROW_NUMBER() OVER (PARTITION BY document_name, timestamp, operation, data ORDER BY event_id) AS occurrence
    FROM changes
  ),
  last_rows AS (
    SELECT document_name, COUNT(*) AS row_count
    FROM counted
    WHERE timestamp = last_at AND occurrence = 1
    GROUP BY document_name
  )
SELECT
  COUNT(*) AS row_count,
  COUNT(DISTINCT document_name) AS documents,
  COUNTIF(operation = 'CREATE') AS creates,
  COUNTIF(operation = 'UPDATE') AS updates,
  COUNTIF(operation = 'DELETE') AS deletes,
  COUNTIF(operation = 'IMPORT') AS imports,
  MIN(timestamp) AS first_at,
  MAX(timestamp) AS last_at,
  COUNTIF(occurrence > 1) AS repeated,
  COUNTIF(NOT deleted AND SAFE.PARSE_JSON(data) IS NULL) AS not_json,
  COUNTIF(operation != 'IMPORT' AND MOD(UNIX_MICROS(timestamp), 1000) = 0) AS cut_times,
  (SELECT COUNT(*) FROM last_rows WHERE row_count > 1) AS tied_documents,
  (SELECT COUNT(*) FROM `{{ log }}`) AS log_rows
FROM counted
