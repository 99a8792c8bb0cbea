"""Deduplication stages: exact keys, n-grams in shards, MinHash."""
