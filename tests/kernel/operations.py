"""Operations at random, one after the other, from a seed: what people and others do to VEs, right and wrong."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace

from tests.kernel.model import Model
from tests.kernel.model_words import FILE_OF, RATES, WORDS, controller_of

NAMES = ("web1", "web2", "web3", "db1", "db2")
BELOW = ("/rctl-web1/in", "/rctl-db1/in")
PROCESSES = ("p1", "p2", "p3", "p4", "p5")
WRONG = (
    ("memory.max", "12"), ("memory.max", "-1"), ("memory.min", "max"), ("cpu.max", "0"), ("cpu.period", "2s"),
    ("cpu.weight", "10001"), ("cpuset.cpus", "7"), ("cpuset.mems", "1"), ("cpuset.cpus", "x"), ("pids.max", "many"),
    ("pids.max", "4194305"), ("no.such", "1"), ("files.cgroup.procs", "1"), ("vcpus", "3"), ("io.weight", "0"),
)  # fmt: skip
"""Refused by rctl, or by the kernel when other limits are written already."""
WEIGHTS = {
    "set": 36, "reset": 4, "copy_limits": 5, "undo": 12, "apply": 9, "make": 5, "rm": 7, "rename": 3, "attach": 9,
    "label": 4, "reclaim": 1, "shrink": 1, "mkdir": 4, "outside": 3,
}  # fmt: skip
JOURNALED = {"set", "reset", "copy_limits", "undo", "apply", "rm", "attach", "rename"}
Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Op:
    """An operation. ``which``: of undo, the nth newest adjustment by its id, 0 for the newest without one.

    ``killed``: kill -9 before this changing system call, 0 for none; ``then``: the VE that is adjusted next, which
    must recover first; empty: `rctl recover`.
    """

    verb: str
    names: tuple[str, ...] = ()
    pairs: Pairs = ()
    keys: tuple[str, ...] = ()
    spec: tuple[tuple[str, Pairs, Pairs], ...] = ()
    which: int = 0
    force: bool = False
    dry: bool = False
    kill: bool = False
    prune: bool = False
    thaw: bool = False
    killed: int = 0
    then: str = ""

    def __str__(self) -> str:
        """As one would type it, more or less."""
        words = [self.verb, *self.names, *(f"{key}={value!r}" for key, value in self.pairs), *self.keys]
        for name, pairs, labels in self.spec:
            words.append(f"[{name}: {' '.join(f'{key}={value!r}' for key, value in (*pairs, *labels))}]")
        words += [f"--{flag}" for flag in ("force", "dry", "kill", "prune", "thaw") if getattr(self, flag)]
        if self.which:
            words.append(f"ID-of-{self.which}-ago")
        if self.killed:
            words.append(f"-- killed at call {self.killed}, then {f'set {self.then}' if self.then else 'recover'}")
        return " ".join(words)


class Operations:
    """Makes them. What is there decides what is likely, not what is possible."""

    def __init__(self, seed: int, disk: str) -> None:
        self.random = random.Random(seed)
        self.disk = disk

    def next(self, model: Model) -> Op:
        """The next one, for what is there."""
        for name in PROCESSES:
            if name not in model.processes and self.chance(0.3):
                return Op("fork", (name,))
        verb = self.random.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        op: Op = getattr(self, f"_{verb}")(model)
        if op.verb in JOURNALED and self.chance(0.06):
            op = replace(op, dry=op.verb not in ("attach", "rename"))
        elif op.verb in JOURNALED and self.chance(0.04):
            then = self.random.choice(["", *NAMES[:2]])
            op = replace(op, killed=self.random.randint(1, 45), then=then)
        return op

    def chance(self, share: float) -> bool:
        """Whether, this time."""
        return self.random.random() < share

    def _name(self, model: Model, *, below: bool = True) -> str:
        """Mostly one that is there."""
        there = [*model.names(), *(path for path in BELOW if below and path in model.groups)]
        return self.random.choice(there if there and self.chance(0.95) else [*NAMES, "nobody"])

    def _names(self, model: Model) -> tuple[str, ...]:
        if self.chance(0.15):
            return (self.random.choice(["web*", "db*", "*", "label:env=prod", "label:env=test", "none*"]),)
        found = [self._name(model) for _ in range(self.random.choice([1, 1, 1, 2, 3]))]
        return tuple(dict.fromkeys(found))

    def _pairs(self, model: Model, names: tuple[str, ...], most: int = 4) -> Pairs:
        """Limits, mostly right ones. CPUs and nodes are for VEs that are not below others: kernels differ there."""
        below = any(name.startswith("/") for name in names)
        known = [key for key in WORDS if _known(key, model) and not (below and key.startswith(("vcpus", "cpuset.")))]
        known += ["io.max"]
        found: dict[str, str] = {}
        for key in self.random.sample(known, self.random.randint(1, most)):
            found[key] = self._rates() if key == "io.max" else self.random.choice(list(WORDS[key]))
        if "files.pids.max" in found:
            found.pop("pids.max", None)
        if "vcpus" in found and not self.chance(0.1):
            found.pop("cpuset.cpus", None)
        if self.chance(0.07):
            key, word = self.random.choice(WRONG)
            found[key] = word
        return tuple(found.items())

    def _rates(self) -> str:
        names = self.random.sample(("rbps", "wbps", "riops", "wiops"), self.random.randint(1, 3))
        words = [word for word in RATES if word != "5k"]
        pairs = [f"{name}={self.random.choice(words if name.endswith('bps') else list(RATES))}" for name in names]
        return " ".join([self.disk, *pairs])

    def _set(self, model: Model) -> Op:
        names = self._names(model)
        return Op("set", names, self._pairs(model, names), force=self.chance(0.1))

    def _reset(self, model: Model) -> Op:
        keys = [key for key, words in WORDS.items() if ("default" in words or key == "vcpus") and _known(key, model)]
        names = (self._name(model, below=False),)
        return Op("reset", names, keys=tuple(self.random.sample([*keys, "io.max"], self.random.randint(1, 4))))

    def _copy_limits(self, model: Model) -> Op:
        targets = [self._name(model, below=False) for _ in range(self.random.choice([1, 1, 2]))]
        return Op("copy_limits", (self._name(model, below=False), *dict.fromkeys(targets)))

    def _undo(self, model: Model) -> Op:
        which = self.random.choice([0, 0, 0, 1, 2, 3, 5, 9])
        return Op("undo", which=which if which <= len(model.records) else 0, force=self.chance(0.15))

    def _apply(self, model: Model) -> Op:
        names = self.random.sample(NAMES, self.random.randint(1, 4))
        spec = tuple((name, self._pairs(model, (name,), 3), self._labels()) for name in names)
        return Op("apply", spec=spec, prune=self.chance(0.2), force=self.chance(0.1))

    def _labels(self) -> Pairs:
        return (("env", self.random.choice(["prod", "test"])),) if self.chance(0.3) else ()

    def _make(self, model: Model) -> Op:
        new = [name for name in NAMES if name not in model.names()]
        return Op("make", (self.random.choice(new if new and self.chance(0.8) else NAMES),))

    def _rm(self, model: Model) -> Op:
        names = ("web*",) if self.chance(0.05) else (self._name(model, below=False),)
        return Op("rm", names, kill=self.chance(0.4))

    def _rename(self, model: Model) -> Op:
        new = [name for name in NAMES if name not in model.names()] or list(NAMES)
        return Op("rename", (self._name(model, below=False), self.random.choice(new)))

    def _attach(self, model: Model) -> Op:
        names = self.random.sample(sorted(model.processes) or ["nobody"], 1)
        more = self.random.sample(PROCESSES, 1) if self.chance(0.3) else []
        living = [name for name in dict.fromkeys([*names, *more]) if name in model.processes]
        if self.chance(0.04) or not living:
            living.append("nobody")
        return Op("attach", (self._name(model), *living), thaw=self.chance(0.2))

    def _label(self, model: Model) -> Op:
        return Op("label", self._names(model), (("env", self.random.choice(["prod", "test", ""])),))

    def _reclaim(self, model: Model) -> Op:
        return Op("reclaim", (self._name(model),))

    def _shrink(self, model: Model) -> Op:
        """Of a VE that processes can come into and that has room for them."""
        fit = [name for name in model.names() if _has_room(model, f"/rctl-{name}")]
        return Op("shrink", (self.random.choice(fit),)) if fit else self._make(model)

    def _mkdir(self, model: Model) -> Op:
        free = [path for path in BELOW if path not in model.groups and path.rpartition("/")[0] in model.groups]
        return Op("mkdir", (self.random.choice(free),)) if free else self._make(model)

    def _outside(self, model: Model) -> Op:
        """Another manager writes a limit."""
        there = [name for name in model.names() if model.there(f"/rctl-{name}", "pids.max")]
        value = self.random.choice(["33", "max"])
        return Op("outside", (self.random.choice(there),), (("pids.max", value),)) if there else self._make(model)


def _known(key: str, model: Model) -> bool:
    """Whether this kernel has it."""
    file = FILE_OF.get(key, key.removeprefix("files."))
    return file in model.machine.files or key in ("vcpus", "cpu.period")


def _has_room(model: Model, path: str) -> bool:
    held: Mapping[str, str] = model.groups[path].held
    room = {"max", *(str(size << 20) for size in (32, 64))}
    sizes = {held.get(key, "max") for key in ("memory.max", "memory.high")}
    alone = not model.inside(path) and not model.groups[path].gives and not model.children(path)
    swap = held.get("memory.swap.max", "max") in ("max", "0")
    free = held.get("cgroup.freeze", "0") == "0" and held.get("pids.max", "max") == "max"
    return alone and swap and free and sizes <= room and controller_of("memory.max") in model.groups["/"].gives
