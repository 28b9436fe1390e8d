SELECT ddl AS definition
FROM `{{ dataset }}`.INFORMATION_SCHEMA.TABLES
WHERE table_name = @name
