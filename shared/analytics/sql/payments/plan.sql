{% from "analytics/sql/payments/parts.jinja" import states, subscriptions, told %}
-- Prices that subscriptions pay for, every day since the first of them. A day's MRR is that of the day before, and what
-- moved: new, expansion, contraction, churned, and moved (what subscriptions pay that came from other plans, less that of
-- those that went there). A change of plan is an expansion or contraction of the plan that was left; on all plans together
-- what moved is nothing.
WITH subscriptions AS (
{{ subscriptions(dataset) }}
),
told AS (
{{ told(dataset) }}
),
states AS (
{{ states() }}
),
moves AS (
  SELECT
    states.day,
    states.is_own_currency,
    states.is_involuntary,
    states.mrr,
    states.mrr_before,
    IF(states.mrr_before > 0, states.plan_before, states.plan) AS plan,
    states.plan AS plan_after,
    states.mrr_before = 0 AS is_new,
    states.mrr = 0 AS is_churn,
    states.mrr > 0 AND states.mrr_before > 0 AND states.plan <> states.plan_before AS is_moved,
    IF(states.is_own_currency, states.mrr - states.mrr_before, 0) AS change
  FROM states
),
-- Whose plan a day's trials and invoices are of: the latest that was told by then, or else of the first day.
trials AS (
  SELECT
    ended.day,
    ended.subscription_id,
    ended.is_paid,
    ARRAY_AGG(
      told.plan
      ORDER BY
        CAST(told.since AS DATE) <= ended.day DESC,
        ABS(DATE_DIFF(CAST(told.since AS DATE), ended.day, DAY)),
        told.since DESC, told.turn DESC, told.id DESC
      LIMIT 1
    )[OFFSET(0)] AS plan
  FROM (
    SELECT
      subscriptions.subscription_id,
      CAST(LEAST(subscriptions.trial_end_at, COALESCE(subscriptions.ended_at, subscriptions.trial_end_at)) AS DATE) AS day,
      LOGICAL_OR(
        COALESCE(invoice.amount_paid > 0 AND invoice.paid_at >= subscriptions.trial_end_at, FALSE)
      ) AS is_paid
    FROM subscriptions
    LEFT JOIN `{{ dataset }}.stripe_invoices` AS invoice ON invoice.subscription_id = subscriptions.subscription_id
    WHERE subscriptions.trial_end_at IS NOT NULL
    GROUP BY subscriptions.subscription_id, day
  ) AS ended
  JOIN told ON told.subscription_id = ended.subscription_id
  GROUP BY ended.day, ended.subscription_id, ended.is_paid
),
-- Of subscriptions that had begun: a first payment that fails is a matter of the checkout.
failures AS (
  SELECT
    invoice.invoice_id,
    CAST(invoice.failed_at AS DATE) AS failed_on,
    IF(invoice.status = 'paid', CAST(invoice.paid_at AS DATE), NULL) AS recovered_on,
    IF(invoice.currency = @currency, invoice.amount_due, 0) AS due,
    COALESCE(
      ARRAY_AGG(
        IF(line.recurring, line.price_id, NULL) ORDER BY line.recurring DESC, line.amount DESC, line.price_id LIMIT 1
      )[OFFSET(0)],
      MAX(subscriptions.price_id)
    ) AS plan
  FROM `{{ dataset }}.stripe_invoices` AS invoice
  JOIN subscriptions ON subscriptions.subscription_id = invoice.subscription_id
  CROSS JOIN UNNEST(invoice.lines) AS line
  WHERE invoice.failed_at IS NOT NULL AND COALESCE(invoice.billing_reason, '') <> 'subscription_create'
  GROUP BY invoice.invoice_id, failed_on, recovered_on, due
),
events AS (
  SELECT
    moves.plan,
    moves.day,
    moves.change - IF(moves.is_moved AND moves.is_own_currency, moves.mrr, 0) AS mrr,
    IF(moves.is_new, moves.change, 0) AS new_mrr,
    IF(NOT moves.is_new AND moves.change > 0, moves.change, 0) AS expansion_mrr,
    IF(NOT moves.is_churn AND moves.change < 0, -moves.change, 0) AS contraction_mrr,
    IF(moves.is_churn, -moves.change, 0) AS churned_mrr,
    IF(moves.is_moved AND moves.is_own_currency, -moves.mrr, 0) AS moved_mrr,
    IF(moves.is_new, 1, 0) - IF(moves.is_churn OR moves.is_moved, 1, 0) AS active_subscriptions,
    IF(moves.is_new, 1, 0) AS new_subscriptions,
    IF(moves.is_churn, 1, 0) AS churned_subscriptions,
    IF(NOT moves.is_churn AND moves.mrr < moves.mrr_before, 1, 0) AS downgrades,
    IF(moves.is_churn AND moves.is_involuntary, 1, 0) AS canceled_after_failure,
    0 AS trials_ended,
    0 AS trials_converted,
    0 AS failed_invoices,
    0 AS failed_amount,
    0 AS recovered_invoices
  FROM moves
  UNION ALL
  SELECT
    moves.plan_after, moves.day, IF(moves.is_own_currency, moves.mrr, 0), 0, 0, 0, 0,
    IF(moves.is_own_currency, moves.mrr, 0), 1, 0, 0, 0, 0, 0, 0, 0, 0, 0
  FROM moves
  WHERE moves.is_moved
  UNION ALL
  SELECT trials.plan, trials.day, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, IF(trials.is_paid, 1, 0), 0, 0, 0
  FROM trials
  UNION ALL
  SELECT failures.plan, failures.failed_on, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, failures.due, 0
  FROM failures
  UNION ALL
  SELECT failures.plan, failures.recovered_on, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1
  FROM failures
  WHERE failures.recovered_on IS NOT NULL
),
calendar AS (
  SELECT plans.plan, day
  FROM (SELECT events.plan, MIN(events.day) AS first_day FROM events WHERE events.plan IS NOT NULL GROUP BY events.plan) AS plans
  CROSS JOIN UNNEST(GENERATE_DATE_ARRAY(plans.first_day, @last_day)) AS day
),
days AS (
  SELECT
    calendar.plan,
    calendar.day,
    {% for name in ("mrr", "new_mrr", "expansion_mrr", "contraction_mrr", "churned_mrr", "moved_mrr",
      "active_subscriptions", "new_subscriptions", "churned_subscriptions", "downgrades", "canceled_after_failure",
      "trials_ended", "trials_converted", "failed_invoices", "failed_amount", "recovered_invoices") %}
    COALESCE(SUM(events.{{ name }}), 0) AS {{ name }}{{ "," if not loop.last }}
    {% endfor %}
  FROM calendar
  LEFT JOIN events ON events.plan = calendar.plan AND events.day = calendar.day
  GROUP BY calendar.plan, calendar.day
),
standing AS (
  SELECT
    days.*,
    SUM(days.mrr) OVER (PARTITION BY days.plan ORDER BY days.day) AS mrr_so_far,
    SUM(days.active_subscriptions) OVER (PARTITION BY days.plan ORDER BY days.day) AS active_so_far
  FROM days
)
SELECT
  standing.day AS date,
  standing.plan AS entity_id,
  CAST(standing.mrr_so_far AS FLOAT64) AS mrr,
  CAST(standing.new_mrr AS FLOAT64) AS new_mrr,
  CAST(standing.expansion_mrr AS FLOAT64) AS expansion_mrr,
  CAST(standing.contraction_mrr AS FLOAT64) AS contraction_mrr,
  CAST(standing.churned_mrr AS FLOAT64) AS churned_mrr,
  standing.active_so_far AS active_subscriptions,
  standing.new_subscriptions,
  standing.churned_subscriptions,
  JSON_OBJECT(
    'plan_interval', price.billing_interval,
    'title', COALESCE(price.nickname, price.product_name),
    'moved_mrr', CAST(standing.moved_mrr AS FLOAT64),
    'downgrades', standing.downgrades,
    'canceled_after_failure', standing.canceled_after_failure,
    'trials_ended', standing.trials_ended,
    'trials_converted', standing.trials_converted,
    'failed_invoices', standing.failed_invoices,
    'failed_amount', CAST(standing.failed_amount AS FLOAT64),
    'recovered_invoices', standing.recovered_invoices
  ) AS attributes
FROM standing
LEFT JOIN `{{ dataset }}.stripe_prices` AS price ON price.price_id = standing.plan
WHERE standing.day IN UNNEST(@days)
