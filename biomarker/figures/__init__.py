"""Draws result objects; never estimates. The only room that imports matplotlib."""
