"""The table of metrics on a page is the one that the code makes."""

from pathlib import Path

from rctl_exporter import table

PAGE = Path(__file__).parents[2] / "exporters" / "METRICS.md"


def test_the_page_holds_the_table_as_the_code_makes_it() -> None:
    assert table.page() == PAGE.read_text(), "make it anew: python -m rctl_exporter.table > exporters/METRICS.md"
