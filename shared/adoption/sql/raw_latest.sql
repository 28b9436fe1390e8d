WITH
  latest AS (
    SELECT
      live.document_name AS document_name,
      live.document_id AS document_id,
      COALESCE(base.timestamp, live.version) AS timestamp,
      COALESCE(base.event_id, '') AS event_id,
      CASE
        WHEN live.create_time IS NULL THEN base.operation
        WHEN live.create_time = live.version THEN 'CREATE'
        ELSE 'UPDATE'
      END AS operation,
      live.data AS data,
      CAST(NULL AS STRING) AS old_data,
      live.path_params AS path_params
    FROM `{{ view }}` AS live
    LEFT JOIN `{{ base }}` AS base ON base.document_name = live.document_name AND base.version = live.version
  )
SELECT {{ columns | join(", ") }}
FROM latest
