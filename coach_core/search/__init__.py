"""Finds rows of text by words and by meaning; knows nothing of documents, messages or memories.

words (tokens for full text), meaning (embeddings), vectors (the matrix in memory), fuse (one order
out of two).
"""
