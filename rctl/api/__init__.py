"""The front door: a Session does on one host all that rctl can; a VE is one cgroup, held open."""
