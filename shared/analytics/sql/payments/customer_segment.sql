{% from "analytics/sql/payments/parts.jinja" import orders, payments, spendings, total %}
-- Buyers by the country of their first order, and by the source and the device that its metadata name: they count on the
-- 180th day after it, with what they had spent by then. A segment has a row until half a year after the last of them.
WITH payments AS (
{{ payments(dataset) }}
),
orders AS (
{{ orders() }}
),
spendings AS (
{{ spendings(dataset) }}
),
calendar AS (
  SELECT day FROM UNNEST(@days) AS day
),
-- Whoever began in another currency spent something else.
firsts AS (
  SELECT
    orders.buyer,
    orders.day,
    orders.country,
    JSON_VALUE(orders.metadata, '$.utm_source') AS source,
    COALESCE(JSON_VALUE(orders.metadata, '$.utm_medium'), '(none)') AS medium,
    JSON_VALUE(orders.metadata, '$.device') AS device
  FROM orders
  WHERE orders.place = 1 AND orders.amount > 0
),
spent AS (
  SELECT firsts.buyer, SUM(spendings.amount) AS amount
  FROM firsts
  JOIN spendings ON spendings.buyer = firsts.buyer
  WHERE spendings.day BETWEEN firsts.day AND DATE_ADD(firsts.day, INTERVAL 180 DAY)
  GROUP BY firsts.buyer
),
members AS (
  SELECT firsts.buyer, firsts.day, 'country' AS dimension, firsts.country AS name
  FROM firsts
  UNION ALL
  SELECT firsts.buyer, firsts.day, 'source', CONCAT(firsts.source, ' / ', firsts.medium)
  FROM firsts
  UNION ALL
  SELECT firsts.buyer, firsts.day, 'device', firsts.device
  FROM firsts
),
matured AS (
  SELECT
    members.dimension,
    members.name,
    DATE_ADD(members.day, INTERVAL 180 DAY) AS day,
    COUNT(*) AS customers,
    SUM(spent.amount) AS revenue
  FROM members
  JOIN spent ON spent.buyer = members.buyer
  WHERE members.name IS NOT NULL
  GROUP BY members.dimension, members.name, members.day
)
SELECT
  calendar.day AS date,
  CONCAT(matured.dimension, ': ', matured.name) AS entity_id,
  JSON_OBJECT(
    'segment_dimension', matured.dimension,
    'matured_customers', SUM(IF(matured.day = calendar.day, matured.customers, 0)),
    'matured_revenue', {{ total("IF(matured.day = calendar.day, matured.revenue, 0)") }}
  ) AS attributes
FROM calendar
JOIN matured ON matured.day BETWEEN DATE_SUB(calendar.day, INTERVAL 180 DAY) AND calendar.day
GROUP BY calendar.day, matured.dimension, matured.name
