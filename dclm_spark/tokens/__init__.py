"""From kept documents to exact, shuffled token shards."""
