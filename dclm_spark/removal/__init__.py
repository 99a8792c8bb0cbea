"""Documents taken out of a finished corpus: tombstones at once, compaction later."""
