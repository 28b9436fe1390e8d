DELETE FROM `{{ log }}` WHERE appended_at < @until
