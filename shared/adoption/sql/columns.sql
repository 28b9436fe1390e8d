SELECT column_name, data_type, is_partitioning_column = 'YES' AS partitioned
FROM `{{ dataset }}`.INFORMATION_SCHEMA.COLUMNS
WHERE table_name = @name
ORDER BY ordinal_position
