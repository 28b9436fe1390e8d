{{ "DELETE" if delete else "SELECT '" + table + "' AS table_name, COUNT(*) AS row_count" }}
FROM `{{ table }}` AS held
WHERE (
{% for name in names %}
  {{ "OR " if not loop.first }}held.document_name = @{{ name }} OR STARTS_WITH(held.document_name, CONCAT(@{{ name }}, '/'))
{% endfor %}
{% if by_tenant %}
  {{ "OR " if names }}held.tenant_id = @tenant_id
{% endif %}
)
{% if order == "version" %}
-- What was written later under the same name is a new document.
AND held.version <= @until
{% elif order == "timestamp" %}
AND (held.timestamp <= @until OR held.operation = 'DELETE')
{% endif %}
