"""``rctl forget``: limits that are no longer desired."""

from __future__ import annotations

from ...console.declare import changes
from ...console.flags import DryRun, Json, Names


@changes
def forget(names: Names, dry_run: DryRun = False, json: Json = False) -> None:
    """Forget the desired limits of VEs; the limits that they have stay.

    For containers that never come back, and for VEs that another program is to look after. rctl drift and rctl restore
    pass over them from now on. rctl rm forgets a VE by itself.

    Example: rctl forget /docker/4c01db0b339c
    """
    from ...console.output import as_json, done, say
    from ...console.session import session

    with session() as s:
        found = s.forget(*names, dry_run=dry_run)
    tell = say if dry_run else done
    what = "would be forgotten" if dry_run else "no limit is desired any more"
    tell(*([as_json(found)] if json else [f"{name}: {what}" for name in found]))
