-- How much of what a source names was found to be nothing that another source names, as the newest ETL counted it.
SELECT counts.subject, counts.rows_in AS aliases, counts.rows_refused AS unmapped
FROM `{{ dataset }}.stage_counts` AS counts
WHERE counts.stage = 'map'
  AND STARTS_WITH(counts.subject, CONCAT(@source, ' '))
  AND counts.counted_at >= @since
QUALIFY ROW_NUMBER() OVER (PARTITION BY counts.subject ORDER BY counts.counted_at DESC) = 1
ORDER BY counts.subject
