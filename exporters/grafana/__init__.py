"""The dashboard for rctl's exporter, made with Grafana's library; ``python -m exporters.grafana`` writes rctl.json."""
