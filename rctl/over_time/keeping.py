"""``rctl keep``: gives a cgroup that was made anew its desired limits, at once.

It sleeps until the kernel reports something (inotify, no polling): a cgroup that was made, a write to a limit, a new
line in the history; or until a timer ends. It does not overwrite the changes of other programs: a limit that one
of them changed on a living cgroup is told, and only put back if that is asked for.
"""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Sequence
from typing import Literal

import msgspec

from ..adjust.engine import transact
from ..adjust.records.following import Following
from ..adjust.records.journal import left_open, peek
from ..adjust.records.stable_name import CONTAINERS
from ..adjust.request import Around, Options, Wish
from ..adjust.site import Site
from ..cgroupfs.cgroup import Cgroup
from ..cgroupfs.watch import LostError, Watch
from ..errors import BusyError, GoneError, NotFoundError, RctlError, RollbackError
from .drifting import Difference, Drifted, compare_one, compare_open, find_again
from .restoring import by_limit
from .timers import settled
from .watched import Watched

_SOON = 0.15
"""Seconds from a report to the look: many managers write their own limits right after they make a cgroup."""
_YOUNG = 3.0
"""Seconds in which a cgroup that was made anew gets limits back that its manager overwrites."""
_BUSY = 0.3
"""Seconds until a VE that an adjustment holds is looked at again."""
_AGAIN = 30.0
"""Seconds until a timer that could not be ended, or a VE that could not get its limits back, is tried again."""
_MOST, _MINUTE = 5, 60.0
"""An entry that was put back so often within so many seconds is left alone."""

What = Literal["restored", "drift", "left alone", "failed", "timer", "note"]


class KeepEvent(msgspec.Struct, frozen=True):
    """What ``keep`` did or saw: the time in seconds since 1970, the VE, what, and a line for people."""

    time: float
    ve: str
    what: What
    text: str


class Keeper:
    """The desired limits, and the VEs to look at. ``close()`` it."""

    def __init__(self, site: Site, options: Options, *, enforce: bool, tell: Callable[[KeepEvent], object]) -> None:
        """Raises NotAvailableError without inotify, RctlError if the desired limits cannot be read."""
        self._site, self._enforce, self._tell = site, enforce, tell
        self._options = msgspec.structs.replace(options, restores=True)
        self._watch = Watch()
        self._watch.add(site.state.folder(site.state.keep))
        self._following = Following(site.state)
        self._desired = self._following.limits
        self._watched = Watched(site.tree, self._watch)
        self._looks: dict[str, float] = {}
        self._strangers: dict[str, float] = {}
        self._young: dict[str, float] = {}
        self._put: dict[tuple[str, str], deque[float]] = defaultdict(deque)
        self._alone: dict[tuple[str, str], str] = {}
        self._told: set[tuple[str, str, str]] = set()
        self._again = 0.0
        self._look_at_all()

    def fileno(self) -> int:
        """The descriptor that is readable when the kernel has reported something."""
        return self._watch.fileno()

    @property
    def timers(self) -> bool:
        """True if timers are left."""
        return bool(self._desired.timers)

    def close(self) -> None:
        """Close all."""
        self._following.close()
        self._watch.close()

    def step(self) -> float | None:
        """Hear the reports, and do what is due. Returns the time of the next step, in seconds since 1970, if any."""
        self._hear()
        now = time.time()
        for path in [path for path, moment in self._strangers.items() if moment <= now]:
            del self._strangers[path]
            self._identify(path)
        for name in [name for name, moment in self._looks.items() if moment <= now]:
            del self._looks[name]
            self._look(name)
        self._end_timers()
        timers = [max(timer.until, self._again) for timer in self._desired.timers.values()]
        return min([*self._looks.values(), *self._strangers.values(), *timers], default=None)

    def _look_at_all(self) -> None:
        for name, ve in self._desired.ves.items():
            find_again(self._site, name, ve)
            self._watched.follow(ve.path)
            self._looks[name] = 0.0
        for path in sorted(self._watched.unwatched)[:1]:
            text = f"{path}: cannot be watched. Raise fs.inotify.max_user_watches"
            self._say("", "note", text)

    def _hear(self) -> None:
        try:
            touched = list(self._watched.reports())
        except LostError:
            self._watched.begin_again()
            self._look_at_all()
            touched = []
        self._refresh()
        if not touched:
            return
        soon = time.time() + _SOON
        made = {report.path for report in touched if not report.file}
        written = {(report.path, report.file) for report in touched if report.file}
        for name, ve in self._desired.ves.items():
            anew = any(ve.path == path or ve.path.startswith(path + "/") for path in made)
            if anew:
                self._watched.follow(ve.path)
            if anew or any((ve.path, entry.partition(" ")[0]) in written for entry in ve.entries):
                self._looks.setdefault(name, soon)
        if any(name.startswith(CONTAINERS) for name in self._desired.ves):
            self._strangers |= dict.fromkeys(made - {ve.path for ve in self._desired.ves.values()}, soon)

    def _identify(self, path: str) -> None:
        """Look whether a cgroup that was made is that of a container with desired limits: its id is another one.

        A runtime may set the limits in a cgroup below it. That one has the container's name, and may come later.
        """
        from ..names.container_cgroups import INNER

        for place in (path, f"{path}/{INNER}"):
            if not self._site.tree.exists(place):
                continue
            if (ve := self._desired.ves.get(name := self._site.named(place))) is not None:
                ve.path = place
                find_again(self._site, name, ve)
                self._watched.follow(place)
                self._looks[name] = 0.0

    def _refresh(self) -> bool:
        """Read new adjustments; True if there were any. Raises RctlError for one of a newer rctl."""
        records = self._following.refresh()
        for path in dict.fromkeys(step.path for record in records for step in record.steps):
            self._watched.follow(path)
        return bool(records)

    def _look(self, name: str) -> None:
        """Compare one VE, and put back what was lost with its old cgroup."""
        ve = self._desired.ves.get(name)
        if ve is None:
            return
        one = compare_one(self._site, ve, ve.present(self._site.boot_id, self._desired.due(time.time())))
        if one is None or not one.there:
            return
        if not (one.differences or one.labels):
            self._told = {told for told in self._told if told[0] != name}
            return
        if self._under_way(one.ino) or self._refresh():
            self._looks[name] = time.time() + _BUSY
            return
        young = self._young.get(name, 0.0) > time.monotonic()
        if self._enforce or young or one.labels or any(d.cause == "made anew" for d in one.differences):
            self._put_back(name, one)
        else:
            self._tell_drift(name, one)

    def _under_way(self, ino: int) -> bool:
        """True if an adjustment of the cgroup has begun, and is not in the history yet."""
        state = self._site.state
        for journal in left_open(state):
            try:
                record = peek(state, journal)
            except RctlError:
                continue
            if record is not None and ino in record.inodes.values():
                return True
        return False

    def _put_back(self, name: str, one: Drifted) -> None:
        wanted = {(d.limit, d.device) for d in one.differences if self._may(name, d)}
        if not (wanted or one.labels):
            return
        try:
            self._note(name, one, self._restored(name, one, wanted))
        except BusyError:
            self._looks[name] = time.time() + 1
        except (GoneError, NotFoundError):
            pass  # it is looked at when it comes again
        except RctlError as error:
            parts = () if isinstance(error, RollbackError) else by_limit(one)
            if len(parts) < 2:
                self._failed(name, one, error)
            else:
                for part in parts:
                    self._put_back(name, part)

    def _restored(self, name: str, one: Drifted, wanted: Collection[tuple[str, str]]) -> list[Difference]:
        """Put these entries, and the labels, back. Returns those that still differed."""
        done: list[Difference] = []

        def still(opened: Sequence[Cgroup]) -> list[Wish]:
            """The VE is locked now, so no adjustment of rctl is half done."""
            self._refresh()
            done.clear()
            ve = self._desired.ves.get(name)
            if ve is not None:
                layers = ve.present(self._site.boot_id, self._desired.due(time.time()))
                found = compare_open(self._site, ve, layers, opened[0])
                done.extend(d for d in (found.differences if found else ()) if (d.limit, d.device) in wanted)
            return [Wish(one.name, tuple(d.write for d in done), ino=one.ino)]

        labels = {one.name: dict[str, str | None](one.labels)} if one.labels else {}
        wish = Wish(one.name, (), ino=one.ino)
        transact(self._site, [wish], self._options, prepare=still, around=Around(labels=labels))
        return done

    def _note(self, name: str, one: Drifted, done: Sequence[Difference]) -> None:
        """Note and tell what came back."""
        if any(d.cause == "made anew" for d in done):
            self._young[name] = time.monotonic() + _YOUNG
        for d in done:
            self._put[name, _entry(d)].append(time.monotonic())
        if done:
            changed = ", ".join(f"{_entry(d)} {d.written} -> {d.desired}" for d in done)
            why = "was made anew" if one.differences and one.differences[0].cause == "made anew" else "was changed"
            self._say(one.name, "restored", f"{one.name}: {why}; put back: {changed}")

    def _failed(self, name: str, one: Drifted, error: RctlError) -> None:
        """Try again later; tell each cause once."""
        self._looks[name] = time.time() + _AGAIN
        if (key := (name, "", str(error))) not in self._told:
            self._told.add(key)
            self._say(one.name, "failed", f"{one.name}: cannot get all its limits back: {error}. It is tried again")

    def _may(self, name: str, difference: Difference) -> bool:
        """False for an entry that was put back too often; it is left alone until it is set anew."""
        key = (name, _entry(difference))
        if self._alone.get(key) == difference.set_by:
            return False
        times = self._put[key]
        if self._alone.pop(key, ""):
            times.clear()  # it was set anew since
        while times and times[0] < time.monotonic() - _MINUTE:
            times.popleft()
        if len(times) < _MOST:
            return True
        self._alone[key] = difference.set_by
        text = f"{name}: {key[1]}: was put back {_MOST} times within a minute, and another program sets it, too"
        self._say(name, "left alone", f"{text}. It is left alone until rctl sets it again")
        return False

    def _tell_drift(self, name: str, one: Drifted) -> None:
        for d in one.differences:
            if (key := (name, _entry(d), d.written)) not in self._told:
                self._told.add(key)
                text = f"{one.name}: {_entry(d)}: another program changed it from {d.desired} to {d.written}"
                self._say(one.name, "drift", f"{text}. To put it back: rctl drift --fix {one.name}")

    def _end_timers(self) -> None:
        now = time.time()
        if now >= self._again and self._desired.due(now):
            for line in settled(self._site, msgspec.structs.replace(self._options, restores=False)):
                self._say("", "timer", line)
            self._refresh()
            self._again = time.time() + _AGAIN if self._desired.due(now) else 0.0

    def _say(self, ve: str, what: What, text: str) -> None:
        self._tell(KeepEvent(time.time(), ve, what, text))


def _entry(difference: Difference) -> str:
    return f"{difference.limit} {difference.device}".strip()
