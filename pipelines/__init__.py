"""Everything that touches a disk, a store or a terminal."""
