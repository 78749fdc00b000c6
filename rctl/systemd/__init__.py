"""systemd's managers: their D-Bus interface, and the properties that set limits. It writes no cgroup file."""
