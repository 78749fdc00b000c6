"""What ``bench exporter`` compares: exporters as they run, programs that scrape, what a scrape costs."""
