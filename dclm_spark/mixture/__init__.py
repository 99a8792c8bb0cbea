"""Several sources in one corpus: their parts, to the document, and their tokens together."""
