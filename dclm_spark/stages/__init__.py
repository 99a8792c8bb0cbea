"""The stages of a run, one file each, in the order of `dclm_spark.pipeline`."""

# The name of a stage in functions, folders, fates, manifests and the report.
STAGES = ("documents", "deduplicate", "decontaminate", "score", "select", "tokenize", "shards")
