"""The last row: health and cost of the exporter, and the number of limits written."""

from __future__ import annotations

from grafana_foundation_sdk.builders.timeseries import Panel as Graph

from .parts import HOSTS, Curve, graph

_JOB = '{job="rctl",instance=~"$instance"}'


def graphs() -> list[Graph]:
    """The graphs of the time, failures, size and cost of a scrape, by host."""
    return [
        graph("Scrape", "Time of a scrape in the exporter, and as Prometheus sees it.", "s", [
            Curve(f"rctl_scrape_duration_seconds{HOSTS}", "{{instance}}"),
            Curve(f"scrape_duration_seconds{_JOB}", "{{instance}} as Prometheus sees it"),
        ]),
        graph("By collector", "The slowest host's time for each step of a scrape.", "s", [
            Curve(f"max by (collector) (rctl_scrape_collector_duration_seconds{HOSTS})", "{{collector}}"),
        ]),
        graph("Failures", "Files and VEs that could not be read; 1 for a failing step or a host down.", "short", [
            Curve(f"rctl_scrape_read_errors{HOSTS} > 0", "{{instance}} unreadable files"),
            Curve(f"rctl_scrape_unread_ves{HOSTS} > 0", "{{instance}} VEs read in part or not at all"),
            Curve(f"1 - (rctl_scrape_collector_success{HOSTS} == 0)", "{{instance}} {{collector}} fails"),
            Curve(f"1 - (up{_JOB} == 0)", "{{instance}} down"),
        ]),
        graph("VEs and kept descriptors", "Files kept open make a scrape cheap; their number is limited.", "short", [
            Curve(f"rctl_scrape_ves{HOSTS}", "{{instance}} VEs"),
            Curve(f"rctl_scrape_kept_fds{HOSTS}", "{{instance}} descriptors"),
            Curve(f"process_open_fds{_JOB}", "{{instance}} all open files"),
        ]),
        graph("Size", "Bytes of a scrape before compression.", "bytes", [
            Curve(f"rctl_scrape_bytes{HOSTS}", "{{instance}}"),
        ]),
        graph("CPU", "CPU time of the exporter itself, in CPUs.", "percentunit", [
            Curve(f"rate(process_cpu_seconds_total{_JOB}[$__rate_interval])", "{{instance}}"),
        ]),
        graph("Memory", "Resident memory of the exporter.", "bytes", [
            Curve(f"process_resident_memory_bytes{_JOB}", "{{instance}}"),
        ]),
        graph("Version", "Number of hosts by version of the exporter.", "short", [
            Curve(f"count by (version) (rctl_build_info{HOSTS})", "{{version}}"),
        ]),
        graph("Limits written", "Writes of limits per second, and those that failed.", "cps", [
            Curve(f"sum by (setting) (rate(rctl_limit_writes_total{HOSTS}[$__rate_interval])) > 0", "{{setting}}"),
            Curve(f"sum by (setting) (rate(rctl_limit_write_errors_total{HOSTS}[$__rate_interval])) > 0",
                 "{{setting}} failed"),
        ]),
    ]  # fmt: skip
