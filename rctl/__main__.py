"""``python -m rctl`` is ``rctl``."""

from .start import main

if __name__ == "__main__":
    main()
