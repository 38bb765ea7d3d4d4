"""Retrieval: vectors to FAISS indexes and ranked lists, words to scores, lists of several languages to one."""
