SELECT document_name, UNIX_MICROS(version) AS version, refused_reason, optional, fingerprint{{ ", adopted, data" if adopted }}
FROM `{{ fingerprints }}`
WHERE bucket = @bucket AND position > @after
{% if adopted %}
QUALIFY SUM(LENGTH(COALESCE(data, ''))) OVER (ORDER BY position) - LENGTH(COALESCE(data, '')) < {{ letters }}
{% endif %}
ORDER BY position
LIMIT {{ size }}
