SELECT table_name, table_type
FROM `{{ dataset }}.INFORMATION_SCHEMA.TABLES`
ORDER BY table_name
