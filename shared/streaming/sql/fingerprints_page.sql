SELECT document_name, UNIX_MICROS(version) AS version, refused_reason, optional, fingerprint, adopted, data, position
FROM `{{ fingerprints }}`
WHERE position > @after
ORDER BY position
LIMIT {{ size }}
