"""Near copies by signatures: pairs that meet in a bucket, their similarity, their components."""
