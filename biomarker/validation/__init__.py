"""How well a fitting procedure does on patients it has not seen."""
