"""Columns that a recipe adds to documents: of fastText models, functions and families of rules."""
