SELECT document_name, version, refused_reason, optional, fingerprint, position
FROM `{{ fingerprints }}`
WHERE position > @after
ORDER BY position
LIMIT {{ size }}
