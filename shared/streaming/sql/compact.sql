MERGE `{{ log }}` AS log
USING (
  SELECT {{ columns | join(", ") }}
  FROM (
    SELECT
      {{ columns | join(", ") }},
      ROW_NUMBER() OVER (
        PARTITION BY document_name, version, deleted ORDER BY refused_reason IS NULL DESC, appended_at, event_id
      ) AS occurrence
    FROM `{{ log }}`
    WHERE appended_at >= @looked_back_to AND appended_at < @closed_until
  )
  WHERE occurrence = 1 AND appended_at >= @closed_from
) AS kept
ON FALSE
WHEN NOT MATCHED BY SOURCE AND log.appended_at >= @closed_from AND log.appended_at < @closed_until THEN
  DELETE
WHEN NOT MATCHED THEN
  INSERT ({{ columns | join(", ") }})
  VALUES ({% for column in columns %}kept.{{ column }}{{ ", " if not loop.last }}{% endfor %})
