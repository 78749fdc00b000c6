"""What rctl promises, as a small model: each operation is a method that says what the manual says.

It shares no code with rctl. An operation that rctl refuses raises ``Refused``; the model may be half changed then, so
try it on a ``copy()``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tests.kernel.model_tree import Record, Refused, Tree, above, need, path_of
from tests.kernel.model_words import CPUS, FILE_OF, IDLE, NO_RATES, PERIODS, RATES, WORDS, fresh

if TYPE_CHECKING:
    from tests.kernel.operations import Op

__all__ = ["Model", "Refused"]


class Model(Tree):
    """A tree that operations change."""

    def do(self, op: Op) -> Record | None:
        """Do it; what is done is returned, for undo. Raises Refused."""
        self.promised: dict[str, str] = {}
        done: Record | None = getattr(self, op.verb)(op)
        if done and op.verb != "undo":
            self.records = [*self.records[-300:], done]
        return done

    def fork(self, op: Op) -> None:
        """A process that starts in the root."""
        self.processes[op.names[0]] = "/"

    def make(self, op: Op) -> None:
        """An empty VE."""
        self.add(path_of(op.names[0]))

    def mkdir(self, op: Op) -> None:
        """Somebody makes a cgroup below a VE."""
        need(above(op.names[0]) in self.groups, "no parent")
        self.add(op.names[0])

    def outside(self, op: Op) -> None:
        """Somebody writes a file behind rctl's back."""
        for key, value in op.pairs:
            self.put(path_of(op.names[0]), {key: value}, Record(0))

    def set(self, op: Op) -> Record | None:
        """Limits of VEs."""
        paths = self.match(op.names)
        return self.change({path: self._wishes(path, dict(op.pairs), op.force) for path in paths})

    def shrink(self, op: Op) -> Record | None:
        """Less memory than is in use: it goes to swap, or all stays as it is."""
        path = path_of(op.names[0])
        need(self.entry(path, "memory.swap.max") == "max", "no swap")
        return self.change({path: {"memory.max": str(4 << 20)}})

    def reclaim(self, op: Op) -> None:
        """Memory is freed, and no limit changes."""
        path = path_of(op.names[0])
        need(path in self.groups and self.there(path, "memory.max") and self.machine.reclaims, "no such file")

    def reset(self, op: Op) -> Record | None:
        """Limits as on a new VE; a quota keeps its period. Where there is no file, there is nothing to do."""
        found: dict[str, dict[str, str]] = {}
        for path in self.match(op.names):
            keys = [key for word in op.keys for key in (("cpuset.cpus", "cpu.max") if word == "vcpus" else (word,))]
            wishes = self._wishes(path, {key: "default" for key in keys if key != "io.max"}, False)
            if "io.max" in keys:
                wishes |= {key: NO_RATES for key in self.groups[path].held if key.startswith("io.max ")}
            found[path] = {key: entry for key, entry in wishes.items() if self.there(path, key)}
        return self.change(found)

    def copy_limits(self, op: Op) -> Record | None:
        """The limits of one VE for others."""
        (source,), targets = self.match(op.names[:1]), self.match(op.names[1:])
        need(source not in targets and all(path in self.groups for path in (source, *targets)), "no such VE, or itself")
        return self.change({path: self._as(source, path) for path in targets})

    def rename(self, op: Op) -> Record | None:
        """An empty VE gets another name, with its limits and labels."""
        old, new = map(path_of, op.names)
        need(old in self.groups and new not in self.groups, "no such VE, or the name is taken")
        need(not self.inside(old) and not self.children(old), "in use")
        self.add(new)
        self.put_labels(new, self.groups[old].labels)
        record = self.change({new: self._as(old, new)}, made=[new], remove=[old])
        record.renames = True
        return record

    def label(self, op: Op) -> None:
        """Labels of VEs; an empty one is removed."""
        for path in self.match(op.names):
            need(path in self.groups, "no such VE")
            self.put_labels(path, dict(op.pairs))

    def attach(self, op: Op) -> Record | None:
        """Processes come into a VE, which is made for them."""
        path = path_of(op.names[0])
        need("nobody" not in op.names[1:], "no such process")
        wishes = {path: {"cgroup.freeze": "0"} if op.thaw else {}}
        make = [path] if path not in self.groups and path.startswith("/rctl-") and path.count("/") == 1 else []
        return self.change(wishes, made=make, move=op.names[1:])

    def rm(self, op: Op) -> Record | None:
        """VEs go, and what is below them. Those with processes only when these are killed."""
        paths = [path for path in self.match(op.names) if path in self.groups]
        return self.change({path: {} for path in paths}, remove=paths, kill=op.kill)

    def apply(self, op: Op) -> Record | None:
        """VEs as a spec says; with prune the others go, and none of these may have processes."""
        named = {path_of(name): (pairs, labels) for name, pairs, labels in op.spec}
        surplus = [path for path in map(path_of, self.names()) if path not in named] if op.prune else []
        make = [path for path in named if path not in self.groups]
        for path in make:
            self.add(path)
        wishes = {path: self._wishes(path, dict(pairs), op.force) for path, (pairs, _) in named.items()}
        given = {path: dict(labels) for path, (_, labels) in named.items()}
        return self.change(wishes | {path: {} for path in surplus}, made=make, labels=given, remove=surplus)

    def undo(self, op: Op) -> Record | None:
        """Take back the newest adjustment, or one by its id; not what was changed since, unless forced."""
        record = self.meant(op)
        need(record is not None, "nothing to undo")
        assert record is not None
        left = {path for path in record.paths() if self.same(record, path)}
        need(left, "its VEs are gone")
        need(not record.renames, "put one VE in the place of another")
        back = {p: home for p, (path, home) in record.moved.items() if self.processes.get(p) == path}
        goes = [p for p in record.made if p in left and not self.children(p) and self.inside(p) <= back.keys()]
        need(op.force or all(self._as_left(record, path) for path in goes), "changed since it was made")
        wishes: dict[str, dict[str, str]] = {}
        dropped = False
        for (path, key), old in (record.beside | record.before).items():
            if path not in left or path in goes:
                continue
            if key == "cgroup.freeze" and not (op.which or op.force):
                dropped = True
                continue
            unchanged = (path, key) not in record.after or self.entry(path, key) == record.after[path, key]
            need(op.force or unchanged, "changed since")
            if old != IDLE:
                wishes.setdefault(path, {})[key] = old
        labels: dict[str, dict[str, str]] = {}
        for (path, key), (was, became) in record.labels.items():
            if path in left and path not in goes:
                need(op.force or self.groups[path].labels.get(key, "") == became, "changed since")
                labels.setdefault(path, {})[key] = was
        others = record.made or record.moved or record.removed or record.labels
        need(wishes or not dropped or others, "only froze or thawed")
        given = {path: names for path, names in record.enabled.items() if self.same(record, path)}
        done = self.change(wishes, labels=labels, back=back, given=given, remove=goes)
        self.records = [one for one in self.records if one is not record]
        return done

    def _as_left(self, record: Record, path: str) -> bool:
        """Whether a cgroup that the record made has the limits and labels with which it left it.

        All CPUs by number are no limit.
        """
        if self.groups[path].labels != {key: new for (one, key), (_, new) in record.labels.items() if one == path}:
            return False
        own = {key for one, key in record.after if one == path}
        for key in {*own, *self.groups[path].held} - {"cgroup.freeze"}:
            now = self.entry(path, key)
            free = (path, key) in record.beside or (key not in own and now == self.machine.all.get(key))
            if not free and now != record.after.get((path, key), fresh(key)):
                return False
        return True

    def meant(self, op: Op) -> Record | None:
        """The adjustment that undo means: the newest, or the nth newest by its id."""
        at = max(1, op.which)
        return self.records[-at] if at <= len(self.records) else None

    def _wishes(self, path: str, pairs: Mapping[str, str], force: bool) -> dict[str, str]:
        """What entries are to hold, for words by key."""
        need(path in self.groups, "no such VE")
        found: dict[str, str] = {}
        for key, word in pairs.items():
            protects = word == "max" and key in ("memory.low", "memory.min")
            need(force if protects else key == "io.max" or word in WORDS.get(key, ()), f"{key}={word}")
        cpus = CPUS.get(pairs["cpu.max"], 0) if "cpu.max" in pairs else None
        for key, word in pairs.items():
            file = FILE_OF.get(key, key.removeprefix("files."))
            if key == "io.max":
                found |= self._rates(path, word)
            elif key == "vcpus":
                need("cpuset.cpus" not in pairs, "CPUs chosen twice")
                found |= self._vcpus(path, word, cpus, pairs.get("cpu.period"))
            elif key in ("cpu.max", "cpu.period"):
                if "vcpus" not in pairs:
                    found["cpu.max"] = self._quota(path, cpus, pairs.get("cpu.period"))
            else:
                found[file] = WORDS[key].get(word, word)
            if key == "cpu.weight":
                need(word != "idle" or "cpu.idle" in self.machine.files, "no such file")
                if word == "idle":
                    del found["cpu.weight"]
                if "cpu.idle" in self.machine.files:
                    found["cpu.idle"] = "1" if word == "idle" else "0"
        return found

    def _rates(self, path: str, line: str) -> dict[str, str]:
        """Rates that are not given stay as they are."""
        device, *given = line.split()
        rates = dict(pair.split("=") for pair in self.entry(path, f"io.max {device}").split())
        for pair in given:
            name, _, word = pair.partition("=")
            need(name in rates and word in RATES, "wrong")
            rates[name] = RATES[word]
        return {f"io.max {device}": " ".join(f"{name}={rate}" for name, rate in rates.items())}

    def _quota(self, path: str, cpus: int | None, period: str | None) -> str:
        """``cpus`` in millionths, 0 for no limit. A new number keeps the period; a new period keeps the number."""
        old, length = self.entry(path, "cpu.max").split()
        long = PERIODS[period] if period else int(length)
        if cpus == 0 or (cpus is None and old == "max"):
            return f"max {long}"
        quota = cpus * long // 10**6 if cpus else int(old) * long // int(length)
        need(quota >= 1000, "too little")
        return f"{quota} {long}"

    def _vcpus(self, path: str, word: str, given: int | None, period: str | None) -> dict[str, str]:
        """So many CPUs: those that the VE has, then those promised to the fewest others. A lower cap stays."""
        held = numbers(self.entry(path, "cpuset.cpus"))
        quota, length = self.entry(path, "cpu.max").split()
        own = 0 if quota == "max" else round(int(quota) / int(length) * 10**6)
        lower = given if given is not None else own if own < 10**6 * (len(held) or 2) else 0
        if word == "max":
            self.promised[path] = ""
            return {"cpuset.cpus": "", "cpu.max": self._quota(path, lower, period)}
        promised = {one: self.entry(one, "cpuset.cpus") for one in map(path_of, self.names())} | self.promised
        others = [numbers(cpus) for one, cpus in promised.items() if one != path]
        order = sorted((0, 1), key=lambda cpu: (cpu not in held, sum(cpu in other for other in others), cpu))
        count = int(word)
        cap = lower if lower and lower < count * 10**6 else count * 10**6
        cpus = self.promised[path] = "0-1" if count == 2 else str(order[0])
        return {"cpuset.cpus": cpus, "cpu.max": self._quota(path, cap, period)}

    def _as(self, source: str, target: str) -> dict[str, str]:
        """What makes one cgroup's limits as another's. Whether it is frozen is not copied."""
        keys = [file for file in self.machine.files if file not in ("io.max", "cgroup.freeze")]
        for path in (source, target):
            keys += [key for key in self.groups[path].held if key.startswith("io.max ") and key not in keys]
        wanted = {key: self.entry(source, key) for key in keys}
        if wanted.get("cpu.idle") == "1":
            del wanted["cpu.weight"]
        return {key: entry for key, entry in wanted.items() if self.there(target, key) or entry != fresh(key)}


def numbers(text: str) -> set[int]:
    """The CPUs in a list."""
    return {"": set(), "0": {0}, "1": {1}, "0-1": {0, 1}}[text]
