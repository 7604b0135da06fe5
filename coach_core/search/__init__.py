"""Finds rows of text by words and by meaning; knows nothing of documents, messages or memories.

words (tokens for full text), meaning (embeddings), vectors (the matrix in memory), fuse (one order
out of two).
"""

import os

# onnxruntime reports on its use and keeps a device id in the person's home folder unless this stands before its import
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
