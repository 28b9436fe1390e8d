UPDATE `{{ table }}`
SET {{ column }} = {{ expression }}
WHERE {{ column }} IS NULL AND ({{ expression }}) IS NOT NULL
