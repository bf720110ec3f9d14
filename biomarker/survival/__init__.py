"""Numerical ground for time-to-event data: likelihoods, curves, censoring."""
