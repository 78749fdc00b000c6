"""Names of disks that outlive a boot: desired limits by disk are kept under them, because numbers change."""

from __future__ import annotations

from collections.abc import Sequence

from ..steps import Set, Step, Want


def of(steps: Sequence[Step]) -> dict[str, str]:
    """The names, by number, of the disks whose limits these steps set; without those that have none."""
    numbers = {step.key for step in steps if isinstance(step, (Set, Want)) and ":" in step.key}
    return {number: name for number in sorted(numbers) if (name := lasting(number)) != number}


def lasting(key: str) -> str:
    """The key under which an entry is desired: a disk's name instead of its number."""
    if ":" not in key:
        return key
    from ...cgroupfs import devices

    return devices.lasting_name(key)
