"""Examples, fine-tuning and what adapters are made of."""
