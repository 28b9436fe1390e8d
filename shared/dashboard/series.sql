SELECT date, {{ metrics | join(", ") }}
FROM `{{ dataset }}.daily_entity_metrics`
WHERE date BETWEEN @first AND @last AND entity_type = @entity_type AND entity_id = @entity_id
ORDER BY date
