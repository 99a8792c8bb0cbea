"""What a proxy model may read so that it tells of a larger run: cells, repetition, cost."""
