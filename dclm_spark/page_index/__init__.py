"""Where the rows of a page are: an index of a run's ledger by address, id and registered domain."""
