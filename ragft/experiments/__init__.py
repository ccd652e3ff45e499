"""Grids of measurements: each experiment computes, and notebooks read and draw."""
