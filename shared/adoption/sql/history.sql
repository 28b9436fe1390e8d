WITH
  extension AS (
    -- Its queue repeats rows; of imports, which are no changes, the last one of a document is kept.
    SELECT
      timestamp, event_id, document_name, document_id, operation, data, old_data, path_params, deleted,
      IF(operation = 'IMPORT', TIMESTAMP '1970-01-01 00:00:00+00', timestamp) AS version
    FROM (
{{ changes }}
    ) AS changes
    QUALIFY ROW_NUMBER() OVER (
      PARTITION BY
        document_name, operation,
        IF(operation = 'IMPORT', NULL, timestamp),
        IF(operation = 'IMPORT', NULL, data)
      ORDER BY timestamp DESC, event_id
    ) = 1
  ),
  scout AS (
    SELECT timestamp, event_id, document_name, document_id, operation, data, old_data, path_params, deleted, version
    FROM `{{ own_log }}`
    QUALIFY ROW_NUMBER() OVER (
      PARTITION BY document_name, version, deleted ORDER BY IF(operation = 'IMPORT', 1, 0), appended_at
    ) = 1
  ),
  logged AS (
    SELECT
      'extension' AS logged_by,
      -- A time of whole seconds or milliseconds may have been cut: the write may be anywhere in it.
      CASE
        WHEN MOD(UNIX_MICROS(timestamp), 1000000) = 0 THEN 999999
        WHEN MOD(UNIX_MICROS(timestamp), 1000) = 0 THEN 999
        ELSE 0
      END AS span,
      timestamp, event_id, document_name, document_id, operation, data, old_data, path_params, deleted, version
    FROM extension
    UNION ALL
    SELECT
      'scout' AS logged_by,
      0 AS span,
      timestamp, event_id, document_name, document_id, operation, data, old_data, path_params, deleted, version
    FROM scout
  ),
  timed AS (
    SELECT
      logged_by, timestamp, event_id, document_name, document_id, operation, data, old_data, path_params, deleted, version,
      span,
      UNIX_MICROS(IF(logged_by = 'scout', version, timestamp)) + span AS happened
    FROM logged
  ),
  preceded AS (
    SELECT
      logged_by, timestamp, event_id, document_name, document_id, operation, data, old_data, path_params, deleted, version,
      span,
      MAX(IF(deleted, NULL, version)) OVER (
        PARTITION BY document_name ORDER BY happened RANGE UNBOUNDED PRECEDING
      ) AS last_write,
      MAX(IF(deleted AND logged_by = 'scout', version, NULL)) OVER (
        PARTITION BY document_name ORDER BY happened RANGE UNBOUNDED PRECEDING
      ) AS last_deleted
    FROM timed
  ),
  versions AS (
    -- A delete has the version of what it deleted: the newest write before it. Where its time was cut, a write of the
    -- same second may have come after it; there Scout knows better what was deleted.
    SELECT
      logged_by, timestamp, event_id, document_name, document_id, operation, data, old_data, path_params, deleted,
      CASE
        WHEN NOT deleted OR logged_by = 'scout' THEN version
        WHEN span > 0 THEN COALESCE(last_deleted, last_write, timestamp)
        ELSE COALESCE(last_write, timestamp)
      END AS version
    FROM preceded
  ),
  kinds AS (
    SELECT
      logged_by, timestamp, event_id, document_name, document_id, operation, data, old_data, path_params, deleted, version,
      TIMESTAMP_TRUNC(version, MILLISECOND) AS version_millisecond,
      TIMESTAMP_TRUNC(version, SECOND) AS version_second,
      IF(logged_by = 'scout' AND operation != 'IMPORT', 1, 0) AS live,
      IF(
        logged_by = 'scout' OR operation = 'IMPORT', 0,
        CASE
          WHEN MOD(UNIX_MICROS(version), 1000000) = 0 THEN 1000000
          WHEN MOD(UNIX_MICROS(version), 1000) = 0 THEN 1000
          ELSE 1
        END
      ) AS extension_precision
    FROM versions
  ),
  compared AS (
    SELECT
      logged_by, timestamp, event_id, document_name, document_id, operation, data, old_data, path_params, deleted, version,
      extension_precision,
      SUM(live) OVER (PARTITION BY document_name, deleted, version) AS live_same,
      SUM(live) OVER (PARTITION BY document_name, deleted, version_millisecond) AS live_millisecond,
      SUM(live) OVER (PARTITION BY document_name, deleted, version_second) AS live_second,
      SUM(IF(extension_precision = 1, 1, 0)) OVER (PARTITION BY document_name, deleted, version)
      + SUM(IF(extension_precision = 1000, 1, 0)) OVER (PARTITION BY document_name, deleted, version_millisecond)
      + SUM(IF(extension_precision = 1000000, 1, 0)) OVER (PARTITION BY document_name, deleted, version_second)
        AS in_extension
    FROM kinds
  )
-- What both logs have is shown as Scout streamed it; what Scout only read again, as the extension logged it.
SELECT
  timestamp, event_id, document_name, document_id, operation, data, old_data, path_params, version, deleted, logged_by
FROM compared
WHERE CASE
  WHEN logged_by = 'scout' THEN operation != 'IMPORT' OR in_extension = 0
  WHEN extension_precision = 1 THEN live_same = 0
  WHEN extension_precision = 1000 THEN live_millisecond = 0
  WHEN extension_precision = 1000000 THEN live_second = 0
  ELSE TRUE
END
