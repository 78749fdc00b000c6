"""``python -m rctl_exporter`` is ``rctl-exporter``."""

from .cli import main

if __name__ == "__main__":
    main()
