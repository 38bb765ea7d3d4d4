"""Retrieval: vectors to FAISS indexes, indexes to ranked lists."""
