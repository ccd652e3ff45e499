"""The arms: interchangeable ways of answering, one file each."""
