SELECT columns.table_name, ARRAY_AGG(columns.column_name) AS columns
FROM `{{ dataset }}.INFORMATION_SCHEMA.COLUMNS` AS columns
JOIN `{{ dataset }}.INFORMATION_SCHEMA.TABLES` AS tables ON tables.table_name = columns.table_name
WHERE tables.table_type = 'BASE TABLE' AND columns.column_name IN ('document_name', 'tenant_id', 'version', 'timestamp')
GROUP BY columns.table_name
