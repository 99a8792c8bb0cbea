"""Columns beside documents, and decisions over them: what a recipe's expressions see and say."""
