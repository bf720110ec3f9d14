"""From declared columns to model features, learned in the fold and frozen afterwards."""
