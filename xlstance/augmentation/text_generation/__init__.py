"""Texts that a model writes: translations, and queries for passages."""
