"""Tests on a host that systemd runs, in the lab: `make test-systemd`. They run inside it, as root."""
