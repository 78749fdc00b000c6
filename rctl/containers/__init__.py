"""The APIs of container engines on their sockets, and their fields that set limits. It writes no cgroup file."""
