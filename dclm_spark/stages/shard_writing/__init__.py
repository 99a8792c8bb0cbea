"""How token shards are written: packed ones of our own, and those of other trainers."""
