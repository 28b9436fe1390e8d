{% from "analytics/sql/payments/parts.jinja" import orders, payments, sales %}
-- Products that first orders were for, the dearest of an order. A buyer counts on the 90th day after it, and as one who
-- came back where there was a second order by then; a product has a row until a year after the last of them.
WITH payments AS (
{{ payments(dataset) }}
),
orders AS (
{{ orders() }}
),
sales AS (
{{ sales(dataset) }}
),
calendar AS (
  SELECT day FROM UNNEST(@days) AS day
),
buyers AS (
  SELECT
    firsts.buyer,
    sales.product,
    DATE_ADD(firsts.day, INTERVAL 90 DAY) AS day,
    COALESCE(seconds.day <= DATE_ADD(firsts.day, INTERVAL 90 DAY), FALSE) AS is_back
  FROM orders AS firsts
  JOIN sales ON sales.charge_id = firsts.charge_id AND sales.place = 1
  LEFT JOIN orders AS seconds ON seconds.buyer = firsts.buyer AND seconds.place = 2
  WHERE firsts.place = 1
),
matured AS (
  SELECT buyers.product, buyers.day, COUNT(*) AS matured_customers, COUNTIF(buyers.is_back) AS repeaters
  FROM buyers
  GROUP BY buyers.product, buyers.day
)
SELECT
  calendar.day AS date,
  matured.product AS entity_id,
  JSON_OBJECT(
    'matured_customers', SUM(IF(matured.day = calendar.day, matured.matured_customers, 0)),
    'repeaters', SUM(IF(matured.day = calendar.day, matured.repeaters, 0))
  ) AS attributes
FROM calendar
JOIN matured ON matured.day BETWEEN DATE_SUB(calendar.day, INTERVAL 365 DAY) AND calendar.day
GROUP BY calendar.day, matured.product
