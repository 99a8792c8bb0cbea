"""Rule families: what each rule measures of a text, and the limit that decides."""
