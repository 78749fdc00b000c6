"""``python -m rctl``: the same as ``rctl``."""

from .start import main

if __name__ == "__main__":
    main()
