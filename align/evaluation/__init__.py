"""Benchmarks on Inspect AI, metrics, and statistics."""
