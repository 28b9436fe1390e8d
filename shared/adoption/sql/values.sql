SELECT DISTINCT REGEXP_EXTRACT(document_name, r'{{ documents }}') AS value
FROM `{{ log }}`
WHERE REGEXP_CONTAINS(document_name, r'{{ documents }}')
ORDER BY value
