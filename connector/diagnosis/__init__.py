"""Whether a set-up is well: one module for each kind of check, each on its own, none of them changing anything."""
