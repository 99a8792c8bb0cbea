"""WARC and ARC files: records, their compression, HTTP responses, selected records."""
