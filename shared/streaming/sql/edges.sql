SELECT adopted, edges
FROM `{{ edges }}`
