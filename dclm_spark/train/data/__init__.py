"""Training data: the order of sequences, the rows of shards, and batches of them."""
