"""HTML pages that need no other file: one style, one script, one set of parts."""
