"""Units, manifests, tables and the record of a run: what every stage is run by."""
