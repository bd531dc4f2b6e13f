"""Shapes on a background, questions about them, and a tiny model that answers: no download needed."""
