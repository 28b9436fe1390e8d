SELECT view_definition AS definition
FROM `{{ dataset }}`.INFORMATION_SCHEMA.VIEWS
WHERE table_name = @name
