SELECT COUNT(*) AS row_count
FROM `{{ table }}`
WHERE {{ column }} IS NULL AND ({{ expression }}) IS NOT NULL
