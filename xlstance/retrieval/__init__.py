"""Retrieval: texts to vectors by distributed encoding, vectors to FAISS indexes, indexes to ranked lists."""
