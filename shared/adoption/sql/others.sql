SELECT REGEXP_REPLACE(document_name, r'/[^/]+$', '') AS collection, COUNT(*) AS row_count
FROM `{{ log }}`
WHERE NOT ({{ taken }})
GROUP BY collection
ORDER BY row_count DESC, collection
LIMIT 20
