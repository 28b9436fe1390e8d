{% from "analytics/sql/payments/parts.jinja" import orders, payments %}
-- Buyers by the month of their first order, every day from the month's last until a year later: how many there are, and
-- how many of them had ordered again within 60 days of the first, as far as that day could know.
WITH payments AS (
{{ payments(dataset) }}
),
orders AS (
{{ orders() }}
),
calendar AS (
  SELECT day FROM UNNEST(@days) AS day
),
buyers AS (
  SELECT
    LAST_DAY(firsts.day) AS last_day,
    IF(seconds.day <= DATE_ADD(firsts.day, INTERVAL 60 DAY), seconds.day, NULL) AS back_on
  FROM orders AS firsts
  LEFT JOIN orders AS seconds ON seconds.buyer = firsts.buyer AND seconds.place = 2
  WHERE firsts.place = 1
),
cohorts AS (
  SELECT buyers.last_day, buyers.back_on, COUNT(*) AS customers
  FROM buyers
  GROUP BY buyers.last_day, buyers.back_on
)
SELECT
  calendar.day AS date,
  FORMAT_DATE('%Y-%m', cohorts.last_day) AS entity_id,
  JSON_OBJECT(
    'cohort_age', DATE_DIFF(calendar.day, cohorts.last_day, DAY),
    'cohort_customers', SUM(cohorts.customers),
    'repeat_customers', SUM(IF(cohorts.back_on <= calendar.day, cohorts.customers, 0))
  ) AS attributes
FROM calendar
JOIN cohorts ON cohorts.last_day BETWEEN DATE_SUB(calendar.day, INTERVAL 365 DAY) AND calendar.day
GROUP BY calendar.day, cohorts.last_day
