"""From upstream files to questions, splits, SFT rows and preference pairs."""
