"""What a pack would do to all contacts of a portal, shown before it is done, and done exactly so."""
