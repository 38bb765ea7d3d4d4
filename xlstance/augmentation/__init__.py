"""Pairs in, more pairs out: code switching by lexicons, and pairing across languages."""
