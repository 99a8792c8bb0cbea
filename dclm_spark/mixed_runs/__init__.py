"""Runs of several sources: what is checked before they start, and their story."""
