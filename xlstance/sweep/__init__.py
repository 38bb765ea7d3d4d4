"""Sweeps: the search for settings, the mixing ratio above all, with Ray Tune."""
