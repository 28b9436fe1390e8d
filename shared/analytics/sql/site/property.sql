{% from "analytics/sql/payments/parts.jinja" import given_back, orders, payments, spendings, total %}
{% from "analytics/sql/raw.jinja" import rows %}
-- The site as a whole: its traffic as Google Analytics counts it, and what Stripe took. A day that a source does not
-- tell of has NULL in its columns; 0 is none. Who is new, and what customers are worth, needs what came before the days.
WITH traffic AS (
  SELECT
    raw.date AS day,
    raw.property_id,
    SUM(raw.total_users) AS users,
    SUM(raw.new_users) AS new_users,
    SUM(raw.sessions) AS sessions,
    SUM(raw.engaged_sessions) AS engaged_sessions,
    SUM(raw.screen_page_views) AS pageviews,
    SUM(raw.sessions) - SUM(raw.engaged_sessions) AS bounces,
    {{ total("CAST(raw.key_events AS NUMERIC)") }} AS conversions,
    {{ total("CAST(raw.purchase_revenue AS NUMERIC)") }} AS revenue
  FROM {{ rows(dataset, "ga_property_totals") }} AS raw
  WHERE raw.date IN UNNEST(@days)
  GROUP BY raw.date, raw.property_id
),
-- Purchases as Google Analytics counts them, so that an order's value is that of its own revenue.
purchases AS (
  SELECT
    raw.date AS day,
    raw.property_id,
    SUM(IF(raw.event_name = 'purchase', raw.event_count, 0)) AS purchase_events
  FROM {{ rows(dataset, "ga_funnel_events") }} AS raw
  WHERE raw.date IN UNNEST(@days)
  GROUP BY raw.date, raw.property_id
),
repeats AS (
  SELECT
    raw.date AS day,
    raw.property_id,
    SUM(raw.ecommerce_purchases - 1) AS duplicate_purchases,
    {{ total("CAST(raw.purchase_revenue * (raw.ecommerce_purchases - 1) / raw.ecommerce_purchases AS NUMERIC)") }}
      AS duplicate_revenue
  FROM {{ rows(dataset, "ga_repeated_transactions") }} AS raw
  WHERE raw.date IN UNNEST(@days)
    AND raw.ecommerce_purchases > 0
    -- Purchases without an id are not one transaction.
    AND raw.transaction_id NOT IN ('', '(not set)')
  GROUP BY raw.date, raw.property_id
),
payments AS (
{{ payments(dataset) }}
),
orders AS (
{{ orders() }}
),
-- Days of Stripe: those since its first charge. A window of days that reaches back behind the first that Google Analytics
-- tells of would know no sums of traffic: the days of its month before it, or of the last week of the month before, have
-- no row, and older ones serve windows of months.
begun AS (
  SELECT MIN(raw.date) AS told_from FROM {{ rows(dataset, "ga_property_totals") }} AS raw
),
calendar AS (
  SELECT day
  FROM UNNEST(@days) AS day
  CROSS JOIN begun
  WHERE day >= (SELECT MIN(charge.date) FROM `{{ dataset }}.stripe_charges` AS charge)
    AND (
      begun.told_from IS NULL
      OR day >= begun.told_from
      OR day < CAST(DATE_TRUNC(DATE_SUB(begun.told_from, INTERVAL 7 DAY), MONTH) AS DATE)
    )
),
charged AS (
  SELECT payments.day, COUNT(*) AS charges, {{ total("payments.amount") }} AS charge_amount
  FROM payments
  WHERE payments.is_paid AND payments.day IN UNNEST(@days)
  GROUP BY payments.day
),
refunded AS (
  SELECT
    refund.date AS day,
    COUNT(*) AS refunds,
    {{ total("IF(refund.currency = @currency, refund.amount, 0)") }} AS refund_amount
  FROM `{{ dataset }}.stripe_refunds` AS refund
  WHERE refund.date IN UNNEST(@days) AND {{ given_back("refund") }}
  GROUP BY refund.date
),
-- An inquiry (warning_...) is no dispute yet, and one that was prevented never became one.
disputed AS (
  SELECT
    dispute.date AS day,
    COUNT(*) AS disputes,
    {{ total("IF(dispute.currency = @currency, dispute.amount, 0)") }} AS disputed_amount
  FROM `{{ dataset }}.stripe_disputes` AS dispute
  WHERE dispute.date IN UNNEST(@days)
    AND NOT STARTS_WITH(dispute.status, 'warning_')
    AND dispute.status <> 'prevented'
  GROUP BY dispute.date
),
ordered AS (
  SELECT
    orders.day,
    COUNTIF(orders.place = 1) AS new_customers,
    COUNTIF(orders.place > 1) AS repeat_orders,
    COUNTIF(orders.discount > 0) AS discounted_orders,
    {{ total("orders.discount") }} AS discount_amount,
    {{ total("IF(orders.discount > 0, orders.amount, 0)") }} AS discounted_revenue
  FROM orders
  WHERE orders.day IN UNNEST(@days)
  GROUP BY orders.day
),
spendings AS (
{{ spendings(dataset) }}
),
-- What the buyers of one day spent in 90 days; those whose first order was in another currency spent something else.
worths AS (
  SELECT
    firsts.day AS first_day,
    COUNT(DISTINCT firsts.buyer) AS buyers,
    SUM(IF(spendings.day <= DATE_ADD(firsts.day, INTERVAL 90 DAY), spendings.amount, 0)) AS spent
  FROM orders AS firsts
  JOIN spendings ON spendings.buyer = firsts.buyer AND spendings.day >= firsts.day
  WHERE firsts.place = 1 AND firsts.amount > 0
  GROUP BY firsts.day
),
lifetimes AS (
  SELECT calendar.day, CAST(SUM(worths.spent) / SUM(worths.buyers) AS FLOAT64) AS ltv_90d
  FROM calendar
  JOIN worths
    ON worths.first_day BETWEEN DATE_SUB(calendar.day, INTERVAL 455 DAY) AND DATE_SUB(calendar.day, INTERVAL 90 DAY)
  GROUP BY calendar.day
),
paid AS (
  SELECT
    calendar.day,
    @property_id AS property_id,
    COALESCE(charged.charges, 0) AS charges,
    COALESCE(charged.charge_amount, 0) AS charge_amount,
    COALESCE(refunded.refunds, 0) AS refunds,
    COALESCE(refunded.refund_amount, 0) AS refund_amount,
    COALESCE(disputed.disputes, 0) AS disputes,
    COALESCE(disputed.disputed_amount, 0) AS disputed_amount,
    COALESCE(ordered.new_customers, 0) AS new_customers,
    COALESCE(ordered.repeat_orders, 0) AS repeat_orders,
    COALESCE(ordered.discounted_orders, 0) AS discounted_orders,
    COALESCE(ordered.discount_amount, 0) AS discount_amount,
    COALESCE(ordered.discounted_revenue, 0) AS discounted_revenue,
    lifetimes.ltv_90d
  FROM calendar
  LEFT JOIN charged ON charged.day = calendar.day
  LEFT JOIN refunded ON refunded.day = calendar.day
  LEFT JOIN disputed ON disputed.day = calendar.day
  LEFT JOIN ordered ON ordered.day = calendar.day
  LEFT JOIN lifetimes ON lifetimes.day = calendar.day
)
SELECT
  COALESCE(traffic.day, paid.day) AS date,
  COALESCE(traffic.property_id, paid.property_id) AS entity_id,
  traffic.users,
  traffic.new_users,
  traffic.sessions,
  traffic.engaged_sessions,
  traffic.pageviews,
  traffic.bounces,
  traffic.conversions,
  traffic.revenue,
  paid.charges,
  paid.charge_amount,
  paid.refunds,
  paid.refund_amount,
  paid.disputes,
  JSON_OBJECT(
    'orders', purchases.purchase_events,
    'purchase_events', purchases.purchase_events,
    'duplicate_purchases', IF(purchases.day IS NULL, NULL, COALESCE(repeats.duplicate_purchases, 0)),
    'duplicate_revenue', IF(purchases.day IS NULL, NULL, COALESCE(repeats.duplicate_revenue, 0)),
    'disputed_amount', paid.disputed_amount,
    'new_customers', paid.new_customers,
    'repeat_orders', paid.repeat_orders,
    'discounted_orders', paid.discounted_orders,
    'discount_amount', paid.discount_amount,
    'discounted_revenue', paid.discounted_revenue,
    'ltv_90d', paid.ltv_90d
  ) AS attributes
FROM traffic
FULL JOIN paid ON paid.day = traffic.day AND paid.property_id = traffic.property_id
LEFT JOIN purchases ON purchases.day = traffic.day AND purchases.property_id = traffic.property_id
LEFT JOIN repeats ON repeats.day = traffic.day AND repeats.property_id = traffic.property_id
