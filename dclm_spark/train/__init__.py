"""The trainer: OpenLM's architecture on Parquet token shards; torch only, no Java needed."""
