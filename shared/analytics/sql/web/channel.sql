{% from "analytics/sql/ads/parts.jinja" import money %}
{% from "analytics/sql/payments/parts.jinja" import orders, payments, spendings, states, subscriptions, told %}
{% from "analytics/sql/raw.jinja" import days_read, days_told, rows %}
{% from "analytics/sql/web/channels.jinja" import ads_channel, default_channel %}
-- What a channel brought as Google Analytics counts it, what Google Ads took for it, and the buyers whom the tenant's own
-- checkout says it won. On days that Google Analytics tells of; what customers are worth is as it stood that day.
WITH visits AS (
  SELECT
    raw.date AS day,
    raw.session_default_channel_group AS channel,
    SUM(raw.total_users) AS users,
    SUM(raw.new_users) AS new_users,
    SUM(raw.sessions) AS sessions,
    SUM(raw.engaged_sessions) AS engaged_sessions,
    CAST(SUM(CAST(raw.key_events AS NUMERIC)) AS FLOAT64) AS conversions,
    CAST(SUM(CAST(raw.purchase_revenue AS NUMERIC)) AS FLOAT64) AS revenue
  FROM {{ rows(dataset, "ga_traffic_sources") }} AS raw
  WHERE raw.date IN UNNEST(@days)
  GROUP BY day, channel
),
calendar AS (
{{ days_told(dataset, "ga_traffic_sources") }}
),
costs AS (
  SELECT raw.date AS day, {{ ads_channel("raw.channel_type") }} AS channel, {{ money("raw.cost") }} AS cost
  FROM {{ rows(dataset, "google_ads_campaigns") }} AS raw
  WHERE raw.date IN UNNEST(@days)
  GROUP BY day, channel
),
advertised AS (
{{ days_read(dataset, "google_ads_campaigns") }}
),
payments AS (
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
-- How buyers were won, as it was noted with the first of their customers of whom it was.
noted AS (
  SELECT
    customer.customer_id,
    customer.created_at,
    COALESCE(customer.email, customer.customer_id) AS buyer,
    TRIM(JSON_VALUE(customer.metadata, '$.channel')) AS channel,
    LOWER(TRIM(COALESCE(JSON_VALUE(customer.metadata, '$.utm_source'), ''))) AS source,
    LOWER(TRIM(COALESCE(JSON_VALUE(customer.metadata, '$.utm_medium'), ''))) AS medium,
    LOWER(TRIM(COALESCE(JSON_VALUE(customer.metadata, '$.utm_campaign'), ''))) AS campaign
  FROM `{{ dataset }}.stripe_customers` AS customer
),
origins AS (
  SELECT
    noted.buyer,
    IF(COALESCE(noted.channel, '') <> '', noted.channel, {{ default_channel("noted.source", "noted.medium", "noted.campaign") }})
      AS channel
  FROM noted
  WHERE COALESCE(noted.channel, '') <> '' OR (noted.source <> '' AND noted.medium <> '')
  QUALIFY ROW_NUMBER() OVER (PARTITION BY noted.buyer ORDER BY noted.created_at, noted.customer_id) = 1
),
buyers AS (
  SELECT orders.buyer, origins.channel, orders.day, orders.amount
  FROM orders
  JOIN origins ON origins.buyer = orders.buyer
  WHERE orders.place = 1
),
won AS (
  SELECT buyers.day, buyers.channel, COUNT(*) AS customers
  FROM buyers
  GROUP BY buyers.day, buyers.channel
),
-- What the buyers of one day spent in a year; those whose first order was in another currency spent something else.
worths AS (
  SELECT buyers.day, buyers.channel, COUNT(DISTINCT buyers.buyer) AS customers, SUM(spendings.amount) AS spent
  FROM buyers
  JOIN spendings
    ON spendings.buyer = buyers.buyer
    AND spendings.day BETWEEN buyers.day AND DATE_ADD(buyers.day, INTERVAL 365 DAY)
  WHERE buyers.amount > 0
  GROUP BY buyers.day, buyers.channel
),
-- Nobody is judged before their time: a year's spending is that of customers whose first year is over.
lifetimes AS (
  SELECT calendar.day, worths.channel, CAST(SUM(worths.spent) / SUM(worths.customers) AS FLOAT64) AS ltv_12m
  FROM calendar
  JOIN worths
    ON worths.day BETWEEN DATE_SUB(calendar.day, INTERVAL 730 DAY) AND DATE_SUB(calendar.day, INTERVAL 365 DAY)
  GROUP BY calendar.day, worths.channel
),
back AS (
  SELECT DISTINCT buyers.buyer
  FROM buyers
  JOIN orders ON orders.buyer = buyers.buyer
  WHERE orders.place = 2 AND orders.day <= DATE_ADD(buyers.day, INTERVAL 90 DAY)
),
paying AS (
  SELECT DISTINCT standing.buyer
  FROM (
    SELECT buyers.buyer, states.subscription_id, MAX_BY(states.mrr, states.day) AS mrr
    FROM buyers
    JOIN noted ON noted.buyer = buyers.buyer
    JOIN states ON states.customer_id = noted.customer_id
    WHERE states.day <= DATE_ADD(buyers.day, INTERVAL 90 DAY)
    GROUP BY buyers.buyer, states.subscription_id
  ) AS standing
  WHERE standing.mrr > 0
),
quarters AS (
  SELECT
    buyers.day,
    buyers.channel,
    COUNT(*) AS customers,
    COUNTIF(back.buyer IS NOT NULL OR paying.buyer IS NOT NULL) AS retained
  FROM buyers
  LEFT JOIN back ON back.buyer = buyers.buyer
  LEFT JOIN paying ON paying.buyer = buyers.buyer
  GROUP BY buyers.day, buyers.channel
),
retentions AS (
  SELECT calendar.day, quarters.channel, SUM(quarters.retained) / SUM(quarters.customers) AS m3_retention
  FROM calendar
  JOIN quarters
    ON quarters.day BETWEEN DATE_SUB(calendar.day, INTERVAL 455 DAY) AND DATE_SUB(calendar.day, INTERVAL 90 DAY)
  GROUP BY calendar.day, quarters.channel
),
channels AS (
  SELECT visits.day, visits.channel FROM visits
  UNION DISTINCT
  SELECT costs.day, costs.channel FROM costs
  UNION DISTINCT
  SELECT won.day, won.channel FROM won
)
SELECT
  calendar.day AS date,
  channels.channel AS entity_id,
  COALESCE(visits.users, 0) AS users,
  IF(visits.day IS NULL, 0, visits.new_users) AS new_users,
  COALESCE(visits.sessions, 0) AS sessions,
  COALESCE(visits.engaged_sessions, 0) AS engaged_sessions,
  COALESCE(visits.sessions - visits.engaged_sessions, 0) AS bounces,
  COALESCE(visits.conversions, 0) AS conversions,
  COALESCE(visits.revenue, 0) AS revenue,
  CASE WHEN costs.day IS NOT NULL THEN costs.cost WHEN advertised.is_read THEN 0 END AS cost,
  JSON_OBJECT(
    -- Since anybody is known to have been won by any channel.
    'new_customers', IF(
      calendar.day >= (SELECT MIN(first.day) FROM won AS first), COALESCE(won.customers, 0), NULL
    ),
    'ltv_12m', lifetimes.ltv_12m,
    'm3_retention', retentions.m3_retention
  ) AS attributes
FROM calendar
JOIN channels ON channels.day = calendar.day
LEFT JOIN visits ON visits.day = calendar.day AND visits.channel = channels.channel
LEFT JOIN costs ON costs.day = calendar.day AND costs.channel = channels.channel
LEFT JOIN advertised ON advertised.day = calendar.day
LEFT JOIN won ON won.day = calendar.day AND won.channel = channels.channel
LEFT JOIN lifetimes ON lifetimes.day = calendar.day AND lifetimes.channel = channels.channel
LEFT JOIN retentions ON retentions.day = calendar.day AND retentions.channel = channels.channel
