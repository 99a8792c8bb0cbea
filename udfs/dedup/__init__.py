"""Deduplication and contamination kernels: n-grams, Bloom filter, shingles, MinHash, lines."""
