SELECT table_name AS name, table_type AS kind
FROM `{{ dataset }}`.INFORMATION_SCHEMA.TABLES
WHERE table_name IN UNNEST(@names)
