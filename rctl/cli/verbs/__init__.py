"""The verbs, one a file. File, verb and function have the same name (``set_`` and ``help_`` for Python's sake)."""
