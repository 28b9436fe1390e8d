{% from "analytics/sql/payments/parts.jinja" import states, subscriptions, told %}
-- Subscriptions, every day from their first to the one before their end. When one renews, for how much and by which card
-- is known of the period that runs; one that is canceled renews no more.
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
paying AS (
  SELECT calendar.day, states.subscription_id, MAX_BY(IF(states.is_own_currency, states.mrr, 0), states.day) AS mrr
  FROM calendar
  JOIN states ON states.day <= calendar.day
  GROUP BY calendar.day, states.subscription_id
),
lasting AS (
  SELECT
    subscription.subscription_id,
    subscription.currency = @currency AS is_own_currency,
    subscription.renewal_amount,
    subscription.backup_methods,
    CAST(subscription.started_at AS DATE) AS first_day,
    CAST(subscription.ended_at AS DATE) AS end_day,
    IF(
      subscription.cancel_at_period_end OR subscription.status NOT IN ('active', 'past_due', 'trialing')
      OR subscription.cancel_at <= subscription.current_period_end_at,
      NULL,
      CAST(subscription.current_period_end_at AS DATE)
    ) AS renews_on,
    CAST(subscription.current_period_start_at AS DATE) AS renewed_on,
    LAST_DAY(SAFE.PARSE_DATE('%Y-%m', FORMAT('%d-%02d', subscription.card_exp_year, subscription.card_exp_month)))
      AS card_expires_on
  FROM `{{ dataset }}.stripe_subscriptions` AS subscription
  WHERE subscription.status NOT IN ('incomplete', 'incomplete_expired')
)
SELECT
  calendar.day AS date,
  lasting.subscription_id AS entity_id,
  CAST(COALESCE(paying.mrr, 0) AS FLOAT64) AS mrr,
  JSON_OBJECT(
    'renews_in_days', IF(calendar.day >= lasting.renewed_on, DATE_DIFF(lasting.renews_on, calendar.day, DAY), NULL),
    'renewal_amount', IF(
      lasting.is_own_currency AND lasting.renews_on IS NOT NULL, CAST(lasting.renewal_amount AS FLOAT64), NULL
    ),
    'card_expires_in_days', DATE_DIFF(lasting.card_expires_on, calendar.day, DAY),
    'backup_methods', lasting.backup_methods
  ) AS attributes
FROM calendar
JOIN lasting ON lasting.first_day <= calendar.day AND (lasting.end_day IS NULL OR lasting.end_day > calendar.day)
LEFT JOIN paying ON paying.day = calendar.day AND paying.subscription_id = lasting.subscription_id
