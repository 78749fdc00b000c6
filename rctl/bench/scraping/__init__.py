"""The subjects of ``bench exporter``: running exporters, programs that scrape, and the cost of a scrape."""
