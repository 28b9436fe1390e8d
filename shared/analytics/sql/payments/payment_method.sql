{% from "analytics/sql/payments/parts.jinja" import payments, total %}
-- Attempts to pay at the checkout: no renewals, whose payer is not there; what Stripe blocked as fraud, or what is still
-- pending, is no attempt that failed or succeeded.
WITH payments AS (
{{ payments(dataset, of_days=true) }}
)
SELECT
  payments.day AS date,
  payments.payment_method AS entity_id,
  COUNTIF(payments.is_paid) AS charges,
  {{ total("IF(payments.is_paid, payments.amount, 0)") }} AS charge_amount,
  JSON_OBJECT('payment_attempts', COUNT(*), 'failed_payments', COUNTIF(payments.is_declined)) AS attributes
FROM payments
WHERE payments.is_checkout AND (payments.is_paid OR payments.is_declined)
GROUP BY payments.day, payments.payment_method
