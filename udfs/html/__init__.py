"""HTML pages: their character set, and their main text from a supervised parser."""
