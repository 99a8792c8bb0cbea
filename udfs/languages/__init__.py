"""Languages: one code for each, and the words of scripts without blanks."""
