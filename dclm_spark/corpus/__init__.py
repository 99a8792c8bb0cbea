"""What a finished corpus is made of, and the documents that say so."""
