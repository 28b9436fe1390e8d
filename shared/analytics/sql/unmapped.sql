-- How much of what other sources name was found to be an entity of ours.
SELECT
  aliases.entity_type,
  aliases.source,
  COUNT(*) AS aliases,
  SUM(IF(aliases.how = 'own', 1, 0)) AS unmapped
FROM `{{ dataset }}.entity_aliases` AS aliases
WHERE aliases.made_by = @made_by
GROUP BY aliases.entity_type, aliases.source
ORDER BY aliases.source, aliases.entity_type
