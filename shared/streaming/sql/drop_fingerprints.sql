DROP TABLE IF EXISTS `{{ fingerprints }}`
