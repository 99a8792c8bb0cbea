"""What runs on the driver and on GPU nodes: stages, recipes, trainer, evaluation and ranking."""
