WITH
  seen AS (
    SELECT
      appended_at,
      ROW_NUMBER() OVER (
        PARTITION BY document_name, version, deleted ORDER BY refused_reason IS NULL DESC, appended_at, event_id
      ) AS occurrence
    FROM `{{ log }}`
    WHERE appended_at >= @looked_back_to AND appended_at < @closed_until
  )
SELECT COUNT(*) AS row_count, MIN(appended_at) AS first_at, MAX(appended_at) AS last_at
FROM seen
WHERE occurrence > 1 AND appended_at >= @closed_from
