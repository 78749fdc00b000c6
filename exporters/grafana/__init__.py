"""The dashboard for rctl's exporter, by Grafana's own library: ``python -m exporters.grafana`` writes rctl.json."""
