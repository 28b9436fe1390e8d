INSERT INTO `{{ new }}` ({{ columns | join(", ") }})
SELECT {{ columns.values() | join(", ") }}
FROM `{{ old }}`
