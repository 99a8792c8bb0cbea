"""HTML pages that need no other file and run no script: one style, one set of parts."""
