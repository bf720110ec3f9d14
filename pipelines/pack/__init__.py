"""The evidence pack: checklists and model cards whose numbers trace, and the claim linter."""
