"""From what people call a VE to its cgroup: names, patterns and labels so far."""
