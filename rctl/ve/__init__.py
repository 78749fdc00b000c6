"""VEs and their lives. Here so far: bare ones, a cgroup and limits without a root file system."""
