"""``python -m rctl`` is ``rctl``."""

from .cli import main

if __name__ == "__main__":
    main()
