"""Units of work on an executor: one file in, committed tables and counts out."""
