SELECT COUNT(*) AS row_count
FROM `{{ base }}` AS base
WHERE NOT (base.{{ partition }} BETWEEN @first_partition AND @last_partition)
  AND base.document_name IN (
    SELECT document_name
    FROM `{{ log }}`
    WHERE appended_at >= @tail_from AND operation != 'EXPIRE'
  )
