"""The doctor's checks over given texts, and one whole examination of a made-up host."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from rctl.adjust.state_folder import State
from rctl.cgroupfs.cgroup import Cgroup
from rctl.cgroupfs.mounts import cgroup_mounts
from rctl.cgroupfs.tree import Tree
from rctl.cgroupfs.ve_cgroups import Naming
from rctl.cli.verbs.doctor import lines
from rctl.doctor import Check, controllers, diagnose, disks, host, mounts, rctl_folders, rights, usable
from rctl.doctor.host_files import Machine

UNIFIED = "31 23 0:28 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
HYBRID = (
    "32 31 0:29 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    "33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
    "40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n"
    "41 31 0:38 / /sys/fs/cgroup/my\\040unified rw - cgroup2 cgroup2 rw\n"
)
CGROUPS = "#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpu\t{}\t1\t1\nmemory\t{}\t10\t1\npids\t0\t1\t0\n"


class TestMounts:
    def mounted(self, mountinfo: str, proc_cgroups: str = "") -> Check:
        found = cgroup_mounts(mountinfo)
        chosen = next((mount.point for mount in found if mount.kind == "cgroup2"), None)
        return mounts.mounted(found, mounts.held_by_v1(found, proc_cgroups), chosen)

    def test_a_unified_host_is_well(self) -> None:
        assert self.mounted(UNIFIED, CGROUPS.format(0, 0)) == Check(
            "cgroup2", "ok", "mounted at /sys/fs/cgroup (nsdelegate)"
        )

    def test_a_hybrid_host_is_told_what_v1_holds(self) -> None:
        check = self.mounted(HYBRID, CGROUPS.format(2, 4))
        assert (check.state, check.found) == (
            "warn",
            "mounted at /sys/fs/cgroup/my unified, hybrid: cgroup v1 holds cpu, memory",
        )

    def test_without_cgroup2_nothing_works(self) -> None:
        assert (self.mounted("").state, self.mounted("").found) == ("fail", "not mounted")

    def test_a_read_only_mount_fails(self) -> None:
        second = "50 31 0:29 /a /mnt/b rw - cgroup2 cgroup2 rw\n"
        check = self.mounted(UNIFIED.replace("rw,nosuid", "ro,nosuid") + second)
        assert check.state == "fail"
        assert ", read-only, not using /mnt/b" in check.found


class TestControllers:
    def check(self, name: str, root: str = "", place: str = "", handed_down: bool = True, v1: str = "") -> Check:
        where = controllers.OwnCgroup("/mine", place.split(), handed_down)
        held = {v1: f"/sys/fs/cgroup/{v1}"} if v1 else {}
        found = controllers.controllers(root.split(), where, held, CGROUPS.format(0, 0))
        return next(check for check in found if check.name == f"controller {name}")

    def test_one_that_the_place_has_is_well(self) -> None:
        assert self.check("memory", root="memory", place="memory") == Check("controller memory", "ok", "available")

    def test_one_that_rctl_may_hand_down_is_well(self) -> None:
        assert self.check("memory", root="memory").state == "ok"

    def test_one_that_nobody_handed_down_fails(self) -> None:
        check = self.check("memory", root="memory", handed_down=False)
        assert (check.state, check.found) == ("fail", "not handed down to /mine; needed by memory.*")

    def test_one_that_v1_holds_says_where(self) -> None:
        assert self.check("io", v1="blkio").found == "held by cgroup v1 at /sys/fs/cgroup/blkio; needed by io.*"

    def test_one_that_was_switched_off_names_the_switch(self) -> None:
        check = self.check("pids")
        assert check.found == "switched off at boot; needed by pids.*"
        assert "cgroup_disable=pids" in check.remedy

    @pytest.mark.parametrize(("there", "state"), [("memory", "warn"), ("pids", "warn"), ("cpuset io hugetlb", "fail")])
    def test_one_that_is_missing_is_a_failure_only_when_nothing_that_matters_is_left(
        self, there: str, state: str
    ) -> None:
        assert self.check("cpu", root=there).state == state
        assert self.check("hugetlb", root=there.replace("hugetlb", "")).state == "warn"

    def test_files_are_there_missing_or_unknown(self) -> None:
        known = dict.fromkeys((file.name for file in controllers.FILES), None)
        found = controllers.files(known | {"cgroup.kill": True, "memory.reclaim": False})
        assert [(check.name, check.state) for check in found] == [
            ("kernel files", "ok"),
            ("kernel files", "info"),
            ("file memory.reclaim", "warn"),
        ]
        assert found[2].remedy == "Boot Linux 5.19 or newer"


class TestRights:
    def test_an_owner_may(self) -> None:
        assert rights.write("/mine", dict.fromkeys(rights.NEEDED, True), 1000).state == "ok"

    def test_what_may_not_be_written_is_named(self) -> None:
        check = rights.write("/", {".": False, "cgroup.procs": True, "cgroup.subtree_control": False}, 1000)
        assert check.found == "user 1000 may not write in /: the directory, cgroup.subtree_control"

    def test_processes_in_an_inner_node_keep_controllers_from_children(self) -> None:
        assert rights.inner_processes("/", 3, kind="", enabled=()) is None
        check = rights.inner_processes("/", 3, kind="domain", enabled=())
        assert check
        assert check.state == "fail"

    @pytest.mark.parametrize("kind", ["domain threaded", "domain invalid", "threaded"])
    def test_a_threaded_place_holds_no_ves(self, kind: str) -> None:
        check = rights.inner_processes("/a", 3, kind=kind, enabled=("pids",))
        assert check
        assert check.state == "fail"
        assert repr(kind) in check.found

    def test_another_place_on_a_host_run_by_systemd_must_be_delegated(self) -> None:
        assert rights.systemd(False, "/", False).state == "ok"
        assert rights.systemd(True, "/rctl.service", True).state == "ok"
        assert rights.systemd(True, "/other", False).state == "fail"

    def test_systemd_makes_the_ves_of_root_and_of_users_whose_systemd_runs(self) -> None:
        assert rights.units("/", 0).state == "ok"
        assert rights.units("/user.slice/user-1000.slice/user@1000.service", 1000).state == "ok"
        without = rights.units("/", 1000)
        assert (without.state, without.remedy.split(": ")[1]) == ("fail", "loginctl enable-linger 1000")

    def test_a_user_is_told_how_systemd_gives_controllers_to_users(self) -> None:
        place = controllers.OwnCgroup("/user.slice", ("cpu", "memory", "pids"), False, units=True)
        found = {
            one.name: one for one in controllers.controllers(("cpu", "io", "memory", "pids", "hugetlb"), place, {}, "")
        }
        assert found["controller cpu"].state == "ok"
        assert "Delegate=cpu cpuset io memory pids" in found["controller io"].remedy
        assert found["controller hugetlb"].remedy == "Run as root: only VEs of root can have it"


class TestHost:
    def test_pressure_that_is_off_is_a_warning(self) -> None:
        on = dict.fromkeys(("cpu", "memory", "io"), "some avg10=0.00")
        assert host.pressure(on).state == "ok"
        assert host.pressure(on | {"io": None}).state == "warn"

    def test_swap_is_listed(self) -> None:
        head = "Filename\tType\tSize\tUsed\tPriority\n"
        assert host.swap(head).state == "warn"
        assert host.swap(head + "/dev/zram0 partition 524284 0 -2\n").found == "/dev/zram0 512M"

    @pytest.mark.parametrize(("text", "state"), [(None, "info"), ("N\n", "info"), ("Y\n", "ok")])
    def test_zswap_is_told(self, text: str | None, state: str) -> None:
        assert host.zswap(text).state == state

    def test_huge_pages_are_sorted_by_size(self) -> None:
        pools = {"hugepages-1048576kB": "0\n", "hugepages-2048kB": "8\n"}
        assert host.huge_pages(pools).found == "2MB: 8 reserved, 1GB: 0 reserved; memory.max does not count them"
        assert host.huge_pages(pools, counted=True).found.endswith("; memory.max counts them")

    def test_size_is_for_information(self) -> None:
        check = host.size("6.1.0", "MemTotal: 2097152 kB\n", "0-3\n", "")
        assert (check.state, check.found) == ("info", "Linux 6.1.0, 2G RAM, 4 CPUs, 1 NUMA node")

    def test_few_open_files_are_a_warning(self) -> None:
        assert [host.open_files(1024, hard).state for hard in (1024, 524288, -1)] == ["warn", "ok", "ok"]


class TestDisks:
    @pytest.mark.parametrize(
        ("scheduler", "iocost", "state", "found"),
        [
            ("none", True, "ok", "iocost shares it by io.weight"),
            ("bfq", False, "ok", "BFQ shares it by io.bfq.weight, which rctl sets with io.weight"),
            ("none", False, "warn", "io.weight has no effect"),
            ("none", None, "warn", "io.weight has no effect"),
        ],
    )
    def test_the_policy_decides_what_a_weight_does(
        self, scheduler: str, iocost: bool | None, state: str, found: str
    ) -> None:
        check = disks.checks([disks.Disk("sda", "8:0", scheduler, iocost)], io=True)[0]
        assert (check.state, check.found) == (state, f"8:0, scheduler {scheduler}; {found}")

    def test_only_whole_disks_of_some_size_count(self, tmp_path: Path) -> None:
        for name, size in (("sda", "100"), ("sr0", "100"), ("loop0", "8"), ("sdb", "0")):
            place = tmp_path / "sys/block" / name
            (place / "queue").mkdir(parents=True)
            (place / "size").write_text(size)
            (place / "dev").write_text("8:0\n")
            (place / "queue/scheduler").write_text("none [mq-deadline] bfq\n")
        assert disks.find(Machine(str(tmp_path)), "8:0 enable=1 ctrl=auto\n") == [
            disks.Disk("sda", "8:0", "mq-deadline", True)
        ]


class TestOwn:
    def test_a_folder_that_can_be_made_is_well_and_is_not_made(self, tmp_path: Path) -> None:
        state = State(str(tmp_path / "run/rctl"), str(tmp_path / "keep"))
        assert rctl_folders.state_folder(state).state == "ok"
        assert list(tmp_path.iterdir()) == []

    def test_a_relative_folder_is_below_the_one_that_one_is_in(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        assert rctl_folders.state_folder(State("here/run", "here")).state == "ok"

    def test_a_folder_that_others_may_write_fails(self, tmp_path: Path) -> None:
        tmp_path.chmod(0o777)
        assert (
            rctl_folders.state_folder(State(str(tmp_path), str(tmp_path))).found
            == f"{tmp_path}: others may write in it"
        )

    @pytest.mark.parametrize(
        ("flags", "free", "files", "found"),
        [
            (os.ST_RDONLY, 9, 9, "lies on a file system that is mounted read-only"),
            (0, 0, 9, "no space is left"),
            (0, 9, 0, "no inode is left, so no file can be made"),
        ],
    )
    def test_a_folder_that_takes_nothing_fails(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: int, free: int, files: int, found: str
    ) -> None:
        space = SimpleNamespace(f_flag=flags, f_blocks=9, f_bfree=free, f_files=9, f_ffree=files)
        monkeypatch.setattr(os, "statvfs", lambda _: space)
        check = rctl_folders.state_folder(State(str(tmp_path), str(tmp_path)))
        assert (check.state, check.found) == ("fail", f"{tmp_path}: {found}")

    def test_a_folder_that_would_be_a_cgroup_fails(self) -> None:
        check = rctl_folders.state_folder(State("/proc/x/run", "/proc/x"))
        told = "/proc/x/run: cannot be made: lies on a proc file system, which keeps no files"
        assert (check.state, check.found) == ("fail", told)

    def test_without_the_unit_limits_do_not_come_back_after_a_boot(self, tmp_path: Path) -> None:
        machine = Machine(str(tmp_path))
        assert rctl_folders.after_boot(machine, 0) == [], "systemd does not run this host"
        (tmp_path / "run/systemd/system").mkdir(parents=True)
        [found] = rctl_folders.after_boot(machine, 0)
        assert (found.state, found.remedy.startswith("Run: rctl setup --yes")) == ("info", True)
        wants = tmp_path / "etc/systemd/system/multi-user.target.wants"
        wants.mkdir(parents=True)
        (wants / "rctl-restore.service").touch()
        assert [one.state for one in rctl_folders.after_boot(machine, 0)] == ["ok"]

    def test_a_journal_that_nobody_holds_asks_for_recovery(self, tmp_path: Path) -> None:
        state = State(str(tmp_path), str(tmp_path))
        assert rctl_folders.journals(state).state == "ok"
        Path(state.journals).mkdir()
        record = '{"id": "j1", "time": 0, "boot_id": "", "command": "", "inodes": {}, "steps": []}'
        (Path(state.journals) / "j1.json").write_text(record)
        assert rctl_folders.journals(state) == Check(
            "journals", "warn", "left open by a crash: j1", "Run: rctl recover"
        )
        assert (Path(state.journals) / "j1.json").exists()


class TestWhole:
    @pytest.fixture
    def machine(self, tmp_path: Path) -> Machine:
        for path, text in {
            "proc/self/mountinfo": UNIFIED,
            "proc/meminfo": "MemTotal: 2097152 kB\n",
            "proc/sys/kernel/osrelease": "6.1.0\n",
            "sys/devices/system/cpu/online": "0-1\n",
            "sys/fs/cgroup/cgroup.procs": "1\n",
            "sys/fs/cgroup/cgroup.controllers": "cpuset cpu io memory hugetlb pids\n",
            "sys/fs/cgroup/cgroup.subtree_control": "\n",
        }.items():
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_text(text)
        return Machine(str(tmp_path))

    def examine(self, machine: Machine, base: str = "/") -> list[Check]:
        fd = os.open(f"{machine.root}/sys/fs/cgroup", os.O_RDONLY | os.O_DIRECTORY)
        with Tree(Cgroup("/", fd), Naming(base, "")) as tree:
            return diagnose(tree, State(f"{machine.root}/run/rctl", f"{machine.root}/keep"), machine)

    def test_swapaccount_0_is_known_without_a_ve(self, machine: Machine) -> None:
        """Newer kernels ignore it, so what a cgroup shows counts for more."""
        Path(f"{machine.root}/proc/cmdline").write_text("ro swapaccount=0 quiet\n")
        found = {check.name: check for check in self.examine(machine)}
        assert "swapaccount=0 is on the kernel's command line" in found["file memory.swap.max"].found
        assert "Take swapaccount=0 off" in found["file memory.swap.max"].remedy
        known: dict[str, bool | None] = {file.name: True for file in controllers.FILES}
        assert [check.state for check in controllers.files(known, swap_off=True)] == ["ok"]
        (missing,) = controllers.files(known | {"memory.swap.max": False}, swap_off=True)[1:]
        assert missing.found.startswith("switched off at boot (swapaccount=0)")

    def test_a_good_host_is_usable(self, machine: Machine) -> None:
        checks = self.examine(machine)
        assert [check.name for check in checks if check.state == "fail"] == []
        assert usable(checks)

    def test_a_place_that_is_not_there_fails(self, machine: Machine) -> None:
        checks = self.examine(machine, "/nowhere")
        assert [check.found for check in checks if check.state == "fail"] == ["RCTL_TREE=/nowhere: no such cgroup"]

    def test_a_host_without_cgroup2_still_gets_all_else(self, machine: Machine) -> None:
        Path(f"{machine.root}/proc/self/mountinfo").write_text("")
        checks = diagnose(None, State(f"{machine.root}/run", f"{machine.root}/keep"), machine)
        assert [check.name for check in checks if check.state == "fail"] == ["cgroup2"]
        assert not usable(checks)
        assert {"swap", "host", "journals"} <= {check.name for check in checks}

    def test_a_remedy_is_told_once(self) -> None:
        checks = [Check("one", "fail", "is bad", "Mend it"), Check("three", "fail", "too", "Mend it")]
        assert list(lines(checks)) == [
            "fail  one    is bad",
            "             -> Mend it",
            "fail  three  too (same remedy as above)",
        ]
