SELECT column_name, is_nullable
FROM `{{ dataset }}.INFORMATION_SCHEMA.COLUMNS`
WHERE table_name = @table_name
