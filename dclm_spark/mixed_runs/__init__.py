"""Runs of several sources or in several languages: what is checked first, and their story."""
