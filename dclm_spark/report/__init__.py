"""The report of a run: its summary, and the page that shows it."""
