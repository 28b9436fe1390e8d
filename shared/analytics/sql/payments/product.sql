{% from "analytics/sql/payments/parts.jinja" import payments, sales, total %}
-- What was sold, renewals of subscriptions too: orders are the payments that it was part of.
WITH payments AS (
{{ payments(dataset, of_days=true) }}
),
sales AS (
{{ sales(dataset) }}
),
names AS (
  SELECT price.product_id, MAX(price.product_name) AS name
  FROM `{{ dataset }}.stripe_prices` AS price
  GROUP BY price.product_id
)
SELECT
  payments.day AS date,
  sales.product AS entity_id,
  {{ total("sales.amount") }} AS revenue,
  JSON_OBJECT('orders', COUNT(*), 'title', COALESCE(MAX(names.name), sales.product)) AS attributes
FROM sales
JOIN payments ON payments.charge_id = sales.charge_id
LEFT JOIN names ON names.product_id = sales.product
GROUP BY payments.day, sales.product
