"""Units of work, their manifests, the balance of fates, progress and the report."""
