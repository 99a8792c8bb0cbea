"""Token shards: the formats of several trainers, and what a task commits of one shard."""
