"""Memory and time of training before there is a machine for it: from shapes, not from weights.

`align.training.estimate` has the formulas. Here are the shapes of models that are not downloaded, what is
known of GPUs, and the pages of numbers in docs/.
"""
