WITH
  extension AS (
    SELECT DISTINCT document_name, timestamp
    FROM (
{{ changes }}
    ) AS changes
    WHERE operation IN ('CREATE', 'UPDATE')
  ),
  scout AS (
    SELECT DISTINCT document_name, version
    FROM `{{ own_log }}`
    WHERE NOT deleted AND operation != 'IMPORT'
  ),
  span AS (
    SELECT MIN(version) AS first_at, MAX(version) AS last_at
    FROM scout
  ),
  pairs AS (
    SELECT
      extension.document_name AS document_name,
      extension.timestamp AS timestamp,
      MAX(IF(scout.version = extension.timestamp, 1, 0)) AS same,
      MAX(IF(TIMESTAMP_TRUNC(scout.version, MILLISECOND) = extension.timestamp, 1, 0)) AS same_millisecond,
      MAX(IF(TIMESTAMP_TRUNC(scout.version, SECOND) = extension.timestamp, 1, 0)) AS same_second,
      MAX(IF(scout.version < extension.timestamp, 1, 0)) AS earlier
    FROM extension
    CROSS JOIN span
    LEFT JOIN scout
      ON scout.document_name = extension.document_name
      AND scout.version >= TIMESTAMP_SUB(extension.timestamp, INTERVAL 10 SECOND)
      AND scout.version < TIMESTAMP_ADD(extension.timestamp, INTERVAL 1 SECOND)
    WHERE extension.timestamp >= span.first_at AND extension.timestamp <= span.last_at
    GROUP BY extension.document_name, extension.timestamp
  )
SELECT
  COUNT(*) AS writes,
  COUNTIF(same = 1) AS same,
  COUNTIF(same = 0 AND same_millisecond = 1) AS same_millisecond,
  COUNTIF(same = 0 AND same_millisecond = 0 AND same_second = 1) AS same_second,
  COUNTIF(same = 0 AND same_millisecond = 0 AND same_second = 0 AND earlier = 1) AS later,
  COUNTIF(same = 0 AND same_millisecond = 0 AND same_second = 0 AND earlier = 0) AS only_extension
FROM pairs
