"""Cohorts with declared truth, drawn from published facts."""
