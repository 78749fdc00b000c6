"""``rctl-exporter`` and ``python -m rctl_exporter``: the same as ``rctl exporter serve``, with the same flags."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


def main() -> NoReturn:
    """Serve until a signal ends it. Exits with the status that ``rctl`` would have."""
    from rctl.start import main

    sys.argv[1:] = ["--version"] if sys.argv[1:] == ["--version"] else ["exporter", "serve", *sys.argv[1:]]
    main()


if __name__ == "__main__":
    main()
