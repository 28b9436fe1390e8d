{% from "analytics/sql/payments/parts.jinja" import orders, payments, spendings, states, subscriptions, told %}
-- Customers who have ordered, every day since, or who pay for a subscription that day: their orders, what they spent
-- (renewals too, less what was given back), how regularly they order, and what they pay a month.
WITH payments AS (
{{ payments(dataset) }}
),
orders AS (
{{ orders() }}
),
spendings AS (
{{ spendings(dataset) }}
),
subscriptions AS (
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
-- Days with orders, each until the next one.
visits AS (
  SELECT
    visit.customer_id,
    visit.day,
    SUM(visit.orders) OVER (PARTITION BY visit.customer_id ORDER BY visit.day) AS lifetime_orders,
    DATE_DIFF(visit.day, LAG(visit.day) OVER (PARTITION BY visit.customer_id ORDER BY visit.day), DAY) AS gap,
    LEAD(visit.day) OVER (PARTITION BY visit.customer_id ORDER BY visit.day) AS next_day
  FROM (
    SELECT orders.customer_id, orders.day, COUNT(*) AS orders
    FROM orders
    WHERE orders.customer_id IS NOT NULL
    GROUP BY orders.customer_id, orders.day
  ) AS visit
),
habits AS (
  SELECT
    pairs.customer_id,
    pairs.day,
    MAX(pairs.median_gap) AS median_gap,
    -- Rounded, as the last digits differ with the order of the rows.
    ROUND(SAFE_DIVIDE(STDDEV(pairs.gap), AVG(pairs.gap)), 9) AS gap_cv
  FROM (
    SELECT
      visits.customer_id,
      visits.day,
      earlier.gap,
      PERCENTILE_CONT(earlier.gap, 0.5) OVER (PARTITION BY visits.customer_id, visits.day) AS median_gap
    FROM visits
    JOIN visits AS earlier ON earlier.customer_id = visits.customer_id AND earlier.day <= visits.day
  ) AS pairs
  GROUP BY pairs.customer_id, pairs.day
),
spent AS (
  SELECT
    daily.customer_id,
    daily.day,
    SUM(daily.amount) OVER (PARTITION BY daily.customer_id ORDER BY daily.day) AS ltv,
    LEAD(daily.day) OVER (PARTITION BY daily.customer_id ORDER BY daily.day) AS next_day
  FROM (
    SELECT spendings.customer_id, spendings.day, SUM(spendings.amount) AS amount
    FROM spendings
    WHERE spendings.customer_id IS NOT NULL
    GROUP BY spendings.customer_id, spendings.day
  ) AS daily
),
paying AS (
  SELECT
    states.subscription_id,
    states.customer_id,
    states.day,
    IF(states.is_own_currency, states.mrr, 0) AS mrr,
    states.mrr AS own_mrr,
    price.billing_interval,
    MIN(states.day) OVER (PARTITION BY states.subscription_id) AS first_day,
    LEAD(states.day) OVER (PARTITION BY states.subscription_id ORDER BY states.day) AS next_day
  FROM states
  LEFT JOIN `{{ dataset }}.stripe_prices` AS price ON price.price_id = states.plan
),
subscribed AS (
  SELECT
    calendar.day,
    paying.customer_id,
    SUM(paying.mrr) AS mrr,
    ARRAY_AGG(
      paying.billing_interval ORDER BY paying.own_mrr DESC, paying.subscription_id LIMIT 1
    )[OFFSET(0)] AS plan_interval,
    DATE_DIFF(calendar.day, MIN(paying.first_day), DAY) AS tenure_days
  FROM calendar
  JOIN paying ON paying.day <= calendar.day AND (paying.next_day IS NULL OR paying.next_day > calendar.day)
  WHERE paying.own_mrr > 0
  GROUP BY calendar.day, paying.customer_id
),
failures AS (
  SELECT invoice.customer_id, CAST(invoice.failed_at AS DATE) AS day, COUNT(*) AS failed_invoices
  FROM `{{ dataset }}.stripe_invoices` AS invoice
  WHERE invoice.failed_at IS NOT NULL
    AND invoice.subscription_id IS NOT NULL
    AND COALESCE(invoice.billing_reason, '') <> 'subscription_create'
  GROUP BY invoice.customer_id, day
),
known AS (
  SELECT customer.customer_id, CAST(customer.deleted_at AS DATE) AS deleted_on
  FROM `{{ dataset }}.stripe_customers` AS customer
)
SELECT
  calendar.day AS date,
  known.customer_id AS entity_id,
  CAST(COALESCE(subscribed.mrr, 0) AS FLOAT64) AS mrr,
  JSON_OBJECT(
    'lifetime_orders', COALESCE(visits.lifetime_orders, 0),
    'days_since_last', DATE_DIFF(calendar.day, visits.day, DAY),
    'median_gap', habits.median_gap,
    'gap_cv', habits.gap_cv,
    'ltv', CAST(COALESCE(spent.ltv, 0) AS FLOAT64),
    'failed_invoices', COALESCE(failures.failed_invoices, 0),
    'plan_interval', subscribed.plan_interval,
    'tenure_days', subscribed.tenure_days
  ) AS attributes
FROM calendar
JOIN known ON known.deleted_on IS NULL OR known.deleted_on > calendar.day
LEFT JOIN visits ON visits.customer_id = known.customer_id
  AND visits.day <= calendar.day AND (visits.next_day IS NULL OR visits.next_day > calendar.day)
LEFT JOIN habits ON habits.customer_id = visits.customer_id AND habits.day = visits.day
LEFT JOIN spent ON spent.customer_id = known.customer_id
  AND spent.day <= calendar.day AND (spent.next_day IS NULL OR spent.next_day > calendar.day)
LEFT JOIN subscribed ON subscribed.customer_id = known.customer_id AND subscribed.day = calendar.day
LEFT JOIN failures ON failures.customer_id = known.customer_id AND failures.day = calendar.day
WHERE visits.customer_id IS NOT NULL OR subscribed.customer_id IS NOT NULL
