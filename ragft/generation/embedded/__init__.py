"""The embedded model: its lessons, its pretraining, its evaluation, and its weights."""
