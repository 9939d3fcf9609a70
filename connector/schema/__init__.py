"""JSON Schema (draft-07) of packs, case files and the configuration, for editors that complete and underline."""
