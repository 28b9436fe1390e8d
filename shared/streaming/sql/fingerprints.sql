CREATE TABLE IF NOT EXISTS `{{ into }}`
PARTITION BY RANGE_BUCKET(bucket, GENERATE_ARRAY(0, {{ most }}, 1))
CLUSTER BY position
OPTIONS (expiration_timestamp = TIMESTAMP '{{ expires_at }}') AS
SELECT found.*, RANGE_BUCKET(found.position, (SELECT edges FROM `{{ edges }}`)) AS bucket
FROM (
{{ current }}
) AS found
