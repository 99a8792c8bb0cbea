"""What there is to read: listings, the columnar index, and what a run will cost."""
