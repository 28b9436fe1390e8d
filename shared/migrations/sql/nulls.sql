SELECT {% for name, source in columns.items() %}COUNTIF({{ source }} IS NULL) AS {{ name }}{{ ", " if not loop.last }}{% endfor %}

FROM `{{ table }}`
