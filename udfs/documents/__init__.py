"""The documents table: its columns, and rows made of WARC records or given texts."""
