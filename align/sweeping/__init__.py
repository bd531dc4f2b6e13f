"""Many jobs of training and benchmark: a grid or a search, run by any launcher of Hydra, and one summary."""
