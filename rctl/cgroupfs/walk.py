"""The walk over a subtree, with one descriptor open at a time, whatever the depth: the way up is ``..``."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from .cgroup import Cgroup


def walk(
    top: Cgroup, enter: Callable[[Cgroup, str], Cgroup | None], inside: Callable[[Cgroup], list[str]]
) -> Iterator[tuple[Cgroup, bool]]:
    """Each cgroup below ``top``, and ``top`` itself, twice: ``True`` on the way down, ``False`` on the way up.

    A cgroup stays open until the next one comes. ``enter`` opens a child by its name; ``None`` leaves it out.
    ``inside`` returns the names of the children. If one of them raises, the walk ends.
    """
    here, ways = top, [top.children()]
    try:
        yield top, True
        while ways:
            step: Cgroup | None = None
            if down := bool(ways[-1]):
                step = enter(here, ways[-1].pop())
            else:
                yield here, False
                ways.pop()
                step = here.above() if ways else None
            if step:
                if here is not top:
                    here.close()
                here = step
                if down:
                    ways.append(inside(here))
                    yield here, True
    finally:
        if here is not top:
            here.close()
