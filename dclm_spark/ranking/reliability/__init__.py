"""How far a ranking of small models can be trusted: published orders, fits, signal to noise."""
