"""rctl's manual, made from its own verbs and limits."""
