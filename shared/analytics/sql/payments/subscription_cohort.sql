{% from "analytics/sql/payments/parts.jinja" import states, subscriptions, told %}
-- Subscriptions by the month in which they began to pay, every day from its last until a year later: how many there are,
-- and, once three months are over for all of them, how many paid three months after their own first day.
WITH subscriptions AS (
{{ subscriptions(dataset) }}
),
told AS (
{{ told(dataset) }}
),
states AS (
{{ states() }}
),
calendar AS (
  SELECT day FROM UNNEST(@days) AS day
),
firsts AS (
  SELECT states.subscription_id, MIN(states.day) AS day
  FROM states
  GROUP BY states.subscription_id
),
later AS (
  SELECT firsts.subscription_id, firsts.day, MAX_BY(states.mrr, states.day) > 0 AS is_retained
  FROM firsts
  JOIN states ON states.subscription_id = firsts.subscription_id
  WHERE states.day <= DATE_ADD(firsts.day, INTERVAL 3 MONTH)
  GROUP BY firsts.subscription_id, firsts.day
),
cohorts AS (
  SELECT LAST_DAY(later.day) AS last_day, COUNT(*) AS size, COUNTIF(later.is_retained) AS retained
  FROM later
  GROUP BY last_day
)
SELECT
  calendar.day AS date,
  FORMAT_DATE('%Y-%m', cohorts.last_day) AS entity_id,
  JSON_OBJECT(
    'cohort_age', DATE_DIFF(calendar.day, cohorts.last_day, DAY),
    'cohort_size', cohorts.size,
    'retained_m3', IF(DATE_ADD(cohorts.last_day, INTERVAL 3 MONTH) <= calendar.day, cohorts.retained, NULL)
  ) AS attributes
FROM calendar
JOIN cohorts ON cohorts.last_day BETWEEN DATE_SUB(calendar.day, INTERVAL 365 DAY) AND calendar.day
