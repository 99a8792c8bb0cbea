"""The stages of a run, one file each, in the order of `dclm_spark.pipeline`."""

# The name of a stage in functions, folders, fates, manifests and the report.
# Where the classifier judges before copies are looked for, `score` comes before `quality`, which
# no other run has.
STAGES = (
    "documents",
    "quality",
    "deduplicate",
    "decontaminate",
    "score",
    "select",
    "tokenize",
    "shards",
)
