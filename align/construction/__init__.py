"""Unanswerable questions about one's own images: written by models, filtered by models, and measured."""
