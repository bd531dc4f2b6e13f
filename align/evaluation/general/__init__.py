"""Benchmarks of general ability, each with four-state parsing beside its own official rule."""
