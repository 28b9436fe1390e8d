CREATE TABLE IF NOT EXISTS `{{ into }}`
CLUSTER BY position
OPTIONS (expiration_timestamp = TIMESTAMP '{{ expires_at }}') AS
{{ current }}
