"""``python -m exporters.grafana``: write rctl.json beside this file."""

from __future__ import annotations

from pathlib import Path

from .dashboard import text

TARGET = Path(__file__).with_name("rctl.json")

if __name__ == "__main__":
    TARGET.write_text(text())
