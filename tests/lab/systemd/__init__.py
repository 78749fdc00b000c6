"""The lab's other guest: a host as people have it. systemd is process 1; nginx, docker, podman and two users are there.

It is driven over ssh on loopback; it has no other way in or out.
"""
