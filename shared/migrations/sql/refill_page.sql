SELECT {{ columns | join(", ") }}, refused_reason, data
FROM `{{ table }}`
WHERE IFNULL(schema_version, 0) < @wanted AND data IS NOT NULL AND NOT deleted
{% if by and null %}
  AND {{ by }} IS NULL
{% elif by %}
  AND {{ by }} >= @first AND {{ by }} < @end
{% endif %}
  AND (document_name > @after_name OR (document_name = @after_name AND version > @after_version))
-- A change that was appended twice has the same document twice.
QUALIFY ROW_NUMBER() OVER (PARTITION BY document_name, version ORDER BY appended_at) = 1
ORDER BY document_name, version
LIMIT @most
