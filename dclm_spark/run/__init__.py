"""A run: stages, units of work, manifests, fates and their balance, progress and the report."""
