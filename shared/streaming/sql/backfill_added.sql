SELECT COUNT(DISTINCT document_name) AS row_count
FROM `{{ log }}`
WHERE appended_at >= @started_at AND event_id = @run_id
