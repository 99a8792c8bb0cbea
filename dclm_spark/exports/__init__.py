"""What others take from a run: its texts as a data set, OpenLM's tars, the page of tables."""
