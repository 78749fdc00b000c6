"""VEs: make, fill, change and remove them. So far only bare ones, a cgroup and limits without a root file system."""
