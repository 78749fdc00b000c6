"""The front door: a Session has every operation of rctl on one host; a VE is one cgroup, held open."""
