"""get, reset, copy, rename, ps, kill and more, as they are typed."""

from __future__ import annotations

import json
import os
import signal

import pytest

from rctl.assignments import defaults
from rctl.cgroupfs.cgroup import Cgroup
from rctl.controllers.core import SUBTREE_CONTROL
from tests.unit.shell import Shell

NAMED = [key for key in defaults() if key not in ("cpuset.exclusive", "memory.zswap.writeback")]
"""Keys of limits that every kernel has."""
WRONG = [
    ("get", "VE is missing"),
    ("get web1 frob", "frob"),
    ("get web1 vcpus", "cpuset.cpus"),
    ("get web1 files.../x", "../x"),
    ("get web1 hugetlb.3XB", "3XB"),
    ("get a/b memory.max", "a/b"),
    ("reset web1", "KEY"),
    ("reset web1 frob", "frob"),
    ("reset web1 memory.max=1G", "memory.max=1G"),
    ("reset web1 memory.max --deadline x", "--deadline"),
    ("copy web1", "VE"),
    ("copy web1 web1", "web1: a VE cannot be copied to itself"),
    ("copy a/b web1", "a/b"),
    ("export /foreign", "/foreign"),
    ("rename web1", "new"),
    ("rename web1 a/b", "a/b"),
    ("rename /x web3", "/x"),
    ("freeze", "VE is missing"),
    ("thaw web1 --deadline x", "--deadline"),
    ("kill web1 --signal FROB", "FROB"),
    ("kill web1 --signal 999", "999"),
    ("kill web1 --signal 0", "'0'"),
    ("kill web1 --signal 32", "'32'"),
    ("kill web1 --signal TERM+1", "TERM+1"),
    ("kill web1 --signal RTMIN+31", "RTMIN+31"),
    ("kill web1 --signal \u0669", "is not a signal"),
    ("label env=prod", "no VE given"),
    ("label web1 =x", "''"),
    ("label web1 a b=c", "no such VE"),
    ("set label:env pids.max=5", "label:env"),
    ("help frob", "frob"),
    ("help bench frob", "frob"),
]


@pytest.mark.parametrize(("typed", "place"), WRONG, ids=lambda text: text)
def test_what_is_typed_wrong_is_named(shell: Shell, typed: str, place: str) -> None:
    status, out, err = shell.run(*typed.split(" "))
    assert (status in (1, 2), out, len(err.splitlines())) == (True, "", 1)
    assert place.lower() in err.lower()


def test_get_prints_what_set_takes(shell: Shell) -> None:
    shell.run("set", "web1", "memory.max=1G", "cpu.max=0.25", "io.max=sda rbps=5MB/s")
    assert shell.run("get", "web1", "memory.max") == (0, "1073741824\n", "")
    assert shell.run("get", "web1", "io.max")[1] == "8:0 rbps=5000000\n"
    assert shell.run("get", "web1", "pids.max")[1] == "max\n"
    words = shell.run("get", "web1", "memory.max", "cpu.max")[1].split()
    assert words == ["memory.max=1073741824", "cpu.max=0.25"]
    assert shell.run("set", "web2", *words)[0] == 0
    data = json.loads(shell.run("get", "web2", "memory.max", "cpu.max", "io.max", "--json")[1])
    assert data == {"memory.max": 1 << 30, "cpu.max": 0.25, "io.max": []}


def test_get_of_any_file(shell: Shell) -> None:
    assert shell.run("get", "web1", "files.cgroup.freeze")[1] == "0\n"


def test_reset_brings_back_what_a_new_ve_has(shell: Shell) -> None:
    new = shell.kernel.limits()
    shell.run("set", "web1", "memory.low=1G", "vcpus=1", "cpu.period=50ms", "io.max=sda rbps=5MB/s", "cpu.weight=idle")
    _, out, _ = shell.run("reset", "web1", "memory.low", "vcpus", "cpu.period", "io.max", "cpu.weight", "-n")
    assert "memory.low: 1G -> 0" in out
    assert shell.run("reset", "web*", "memory.low", "cpu.period", "io.max", "cpu.weight", "vcpus")[0] == 0
    now = shell.kernel.limits()
    assert {at: now[at] for at in new} == new


def test_copy_gives_all_limits_on_and_takes_others_away(shell: Shell) -> None:
    shell.run("set", "web1", "memory.max=1G", "cpu.weight=50", "io.max=sda rbps=5MB/s", "files.cgroup.freeze=1")
    shell.run("set", "web2", "pids.max=5", "cpu.weight=idle", "io.max=sda wbps=1MB/s")
    assert "pids.max: 5 -> max" in shell.run("copy", "web1", "web2", "--dry-run")[1]
    assert shell.run("copy", "web1", "web2")[0] == 0
    limits = [((path, name), text) for (path, name), text in shell.kernel.limits().items() if name != "cgroup.freeze"]
    one, two = ({name: t for (path, name), t in limits if path == f"/rctl-web{n}"} for n in (1, 2))
    assert one == two
    assert shell.kernel.get("/rctl-web2", "cgroup.freeze") == "0"
    assert [o["status"] for o in json.loads(shell.run("copy", "web1", "web2", "--json")[1])["outcomes"]] == [
        "unchanged"
    ]


@pytest.mark.parametrize("key", [*NAMED, "io.max.8:0", "hugetlb.2MB", "files.pids.max"])
def test_reset_is_set_to_default(shell: Shell, key: str) -> None:
    given = ["cpu.max=0.25", "io.max=sda rbps=5MB/s", "hugetlb.2MB=4M", "memory.low=1G", "pids.max=5", "cpu.weight=7"]
    assert shell.run("set", "web1", *given)[0] == 0
    again = shell.run("set", "web1", f"{key}=default", "-n")
    assert again[0] == 0
    assert shell.run("reset", "web1", key.removesuffix(".8:0"), "-n") == again


def test_an_empty_ve_gets_another_name_with_its_limits(shell: Shell) -> None:
    shell.run("set", "web2", "pids.max=5")
    assert shell.run("rename", "web2", "web3") == (0, "web2: is web3 now\n", "")
    assert set(shell.kernel.root.children) == {"rctl-web1", "rctl-web3"}
    assert shell.kernel.get("/rctl-web3", "pids.max") == "5"


@pytest.mark.parametrize("typed", ["RTMIN+3", "SIGRTMIN+3", "37", "rtmax-27"])
def test_kill_knows_the_signals_that_kill_l_shows(shell: Shell, typed: str) -> None:
    assert shell.run("kill", "web2", "--signal", typed) == (0, "web2: SIGRTMIN+3 sent to 0 process(es)\n", "")


def test_kill_says_who_may_not_be_told_and_tells_the_others(shell: Shell) -> None:
    pids = [os.fork() or signal.pause() for _ in range(2)]
    shell.kernel.make("/rctl-web3", procs=tuple(pids))
    real = signal.pidfd_send_signal
    reached = []

    def send(pidfd: int, number: int) -> None:
        if reached:
            raise PermissionError
        real(pidfd, number)
        reached.append(pidfd)

    shell.monkeypatch.setattr(signal, "pidfd_send_signal", send)
    try:
        status, out, err = shell.run("kill", "web3", "--signal", "CONT")
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    assert (status, out) == (1, "")
    assert "/rctl-web3: 1 process(es) belong to others, and you may not send them signals; the first is " in err
    assert err.endswith("; 1 got it. Run as root\n")


@pytest.mark.parametrize("words", [["label", "many*", "a=b"], ["kill", "many*"], ["export", "many*"]])
def test_many_ves_need_few_open_files(shell: Shell, words: list[str]) -> None:
    for number in range(40):
        shell.kernel.make(f"/rctl-many{number}")
    assert shell.run(*words)[::2] == (0, "")
    assert shell.kernel.most_open < 10


def test_a_ve_with_processes_keeps_its_name(shell: Shell) -> None:
    assert "the kernel cannot rename a cgroup" in shell.refused("rename", "web1", "web3", status=1)
    assert "exists already" in shell.refused("rename", "web2", "web1", status=1)
    assert set(shell.kernel.root.children) == {"rctl-web1", "rctl-web2"}


def test_reset_takes_several_ves_and_patterns(shell: Shell) -> None:
    new = shell.kernel.limits()
    shell.kernel.make("/rctl-db")
    shell.run("set", "*", "pids.max=5", "memory.low=1G")
    words = ("reset", "web*", "pids.max", "db", "memory.low", "hugetlb.2MB")
    assert shell.run(*words, "-n")[1].count("pids.max: 5 -> max") == 3
    assert shell.run(*words)[0] == 0
    now = shell.kernel.limits()
    assert {at: now[at] for at in new} == new
    assert shell.kernel.get("/rctl-db", "pids.max") == "max"


def test_reset_takes_a_misspelt_limit_for_no_ve(shell: Shell) -> None:
    assert "memory.mx: there is no such limit" in shell.refused("reset", "web1", "memory.mx")
    assert "swap" in shell.refused("reset", "web1", "swap.max")


def test_reset_of_a_ve_that_is_called_like_a_limit(shell: Shell) -> None:
    shell.kernel.make("/rctl-pids.max")
    shell.run("set", "pids.max", "pids.max=5")
    assert shell.run("reset", "pids.max", "pids.max") == (0, "pids.max: changed\n  pids.max: 5 -> max\n", "")


@pytest.mark.parametrize("word", ["default", "max"])
def test_set_enables_no_controller_for_what_is_so_without_it(shell: Shell, word: str) -> None:
    shell.kernel.make("/sess", procs=(500,), enable=False)
    shell.kernel.make("/sess/job", enable=False)
    before = shell.kernel.limits()
    assert shell.run("set", "/sess/job", f"pids.max={word}", f"cpu.max={word}", f"memory.max={word}") == (
        0, "/sess/job: unchanged\n", ""
    )  # fmt: skip
    assert shell.kernel.limits() == before
    assert "has 1 process(es)" in shell.run("set", "/sess/job", "pids.max=5")[2]


def test_io_latency_goes_the_way_of_every_limit_by_device(shell: Shell) -> None:
    shell.kernel.lacks.remove("io.latency")
    shell.kernel.make("/rctl-web3")
    assert shell.run("set", "web3", "io.latency=sda target=10ms")[0] == 0
    assert shell.kernel.limits()["/rctl-web3", "io.latency"] == "8:0 target=10000"
    assert shell.run("get", "web3")[1] == "io.latency=8:0 target=10000\n"
    assert "io.latency.sda = { target = 10000 }" in shell.run("export", "web3")[1].replace('"8:0"', "sda")
    assert "io.latency 8:0     target 10000 us" in shell.run("show", "web3")[1]
    assert shell.run("reset", "web3", "io.latency")[0] == 0
    assert shell.kernel.limits()["/rctl-web3", "io.latency"] == ""
    assert shell.run("undo")[0] == 0
    assert shell.kernel.limits()["/rctl-web3", "io.latency"] == "8:0 target=10000"


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("io.latency.sda.speed=5", "io.latency.sda.speed: there is no such value. Write target"),
        (
            "io.latency=sda 5ms",
            "io.latency: 'sda 5ms' is not understood. Write it in quotes, as one: 'vda target=10ms'",
        ),
        (
            "files.io.latency=8:0 speed=5",
            "files: io.latency: '8:0 speed=5' is not understood. Write it like '8:0 target=10ms'",
        ),
    ],
)
def test_io_latency_that_is_written_wrongly_is_told_what_to_write(shell: Shell, typed: str, told: str) -> None:
    assert told in shell.refused("set", "web1", typed)


def test_what_goes_to_disk_of_compressed_swap_is_a_limit_like_all_others(shell: Shell) -> None:
    told = "memory.zswap.writeback: this kernel has no such file on /rctl-web1 (it came with Linux 6.8)"
    assert told in shell.run("set", "web1", "memory.zswap.writeback=0")[2]
    shell.kernel.lacks.remove("memory.zswap.writeback")
    shell.kernel.make("/rctl-web3")
    assert shell.run("set", "web3", "memory.zswap.writeback=no")[0] == 0
    assert shell.kernel.limits()["/rctl-web3", "memory.zswap.writeback"] == "0"
    assert shell.run("get", "web3")[1] == "memory.zswap.writeback=0\n"
    assert "memory.zswap.writeback = 0" in shell.run("export", "web3")[1]
    assert shell.run("reset", "web3", "memory.zswap.writeback")[0] == 0
    assert shell.kernel.limits()["/rctl-web3", "memory.zswap.writeback"] == "1"


def test_io_latency_is_refused_with_the_option_that_the_kernel_was_built_without(shell: Shell) -> None:
    told = (
        "io.latency: this kernel has no such file on /rctl-web1 (it came with Linux 4.19, and needs "
        "CONFIG_BLK_CGROUP_IOLATENCY). Leave it out, or boot one that is built with it\n"
    )
    assert told in shell.refused("set", "web1", "io.latency=sda target=10ms", status=1)


def test_a_file_that_the_host_does_not_have_is_refused_whatever_is_wished(shell: Shell) -> None:
    told = "memory.bogus: this kernel has no such file on /rctl-web1. Leave it out, or boot a newer kernel\n"
    assert told in shell.refused("set", "web1", "files.memory.bogus=max", status=1), "nobody knows when it came"
    assert "hugetlb.1GB.max" in shell.refused("set", "web1", "hugetlb.1GB=max", status=1)


def test_reset_enables_no_controller(shell: Shell) -> None:
    shell.kernel.make("/sess", procs=(500,), enable=False)
    shell.kernel.make("/sess/job", enable=False)
    shell.kernel.make("/rctl-bare", enable=False)
    before = shell.kernel.limits()
    words = ("reset", "/sess/job", "pids.max", "memory.low", "cpu.weight", "vcpus", "io.max", "hugetlb.2MB")
    assert shell.run(*words) == (0, "/sess/job: unchanged\n", "")
    assert shell.run("reset", "bare", "pids.max", "cpu.max") == (0, "bare: unchanged\n", "")
    assert shell.kernel.limits() == before


@pytest.mark.parametrize("words", [("ls",), ("ls", "--json"), ("run", "web1", "-d", "--", "true"), ("apply", "s")])
def test_a_place_that_is_not_there_is_named(shell: Shell, words: tuple[str, ...]) -> None:
    shell.monkeypatch.setenv("RCTL_TREE", "/nosuch")
    (shell.folder / "s").write_text("version = 1\n[ve.web1]\n")
    told = "RCTL_TREE=/nosuch: there is no such cgroup. Make it, or start the unit that it belongs to\n"
    assert shell.refused(*words, status=1).endswith(told)


@pytest.mark.parametrize(
    ("name", "how"),
    [("docker:web", ". Use: docker rm -f web"), ("unit:nginx.service", ". Use: systemctl stop nginx.service"),
     ("pod:prod/front", "")],
)  # fmt: skip
def test_rm_of_what_others_remove_names_their_command(shell: Shell, name: str, how: str) -> None:
    assert shell.refused("rm", "web1", name) == f"rctl: {name}: rctl rm removes only VEs of rctl's own{how}\n"


@pytest.mark.parametrize("dry", [(), ("--dry-run",)])
def test_a_controller_that_the_user_may_not_enable_is_told_before_anything_is_made(
    shell: Shell, dry: tuple[str, ...]
) -> None:
    shell.monkeypatch.setenv("RCTL_TREE", "/rctl-web2")
    shell.kernel.make("/rctl-web2/own", enable=False)
    (shell.folder / "site.toml").write_text("version = 1\n[ve.new.limits]\npids.max = 9\n")
    above = ("/rctl-web2", SUBTREE_CONTROL)
    shell.monkeypatch.setattr(Cgroup, "may_write", lambda self, name: (self.path, name) != above)
    told = "pids.max: the pids controller is not handed down by /rctl-web2, where you may not write. Have root write +"
    assert told in shell.refused("set", "own", "pids.max=9", *dry, status=1)
    assert told in shell.refused("apply", "site.toml", *dry, status=1)
    assert list(shell.kernel.node("/rctl-web2").children) == ["own"]


@pytest.mark.parametrize("words", [("rm", "web1", "--kill"), ("rm", "web2"), ("rm", "web1", "web2", "--kill", "-n")])
@pytest.mark.parametrize("refused", [".", "cgroup.kill"])
def test_rm_is_refused_before_anything_is_killed_where_it_may_not_remove(
    shell: Shell, words: tuple[str, ...], refused: str
) -> None:
    shell.monkeypatch.setattr(Cgroup, "may_write", lambda self, name: name != refused)
    if refused == "." or "--kill" in words:
        assert "EACCES: permission denied. Run as root" in shell.refused(*words, status=1)
        assert shell.kernel.node("/rctl-web1").procs == {101}
        assert "rctl-web2" in shell.kernel.root.children
    else:
        assert shell.run(*words)[0] == 0


def test_rm_dry_run_says_what_would_go(shell: Shell) -> None:
    assert shell.run("rm", "web1", "web2", "--kill", "--dry-run") == (
        0,
        "web1: would be removed, 1 process(es) killed\nweb2: would be removed\n",
        "",
    )
    assert "has 1 process(es)" in shell.run("rm", "web1", "-n")[2]
    assert set(shell.kernel.root.children) == {"rctl-web1", "rctl-web2"}


def test_quiet_says_nothing_but_what_went_wrong(shell: Shell) -> None:
    assert shell.run("set", "web1", "pids.max=5", "--quiet") == (0, "", "")
    assert shell.run("undo", "-q") == (0, "", "")
    assert shell.run("rm", "web2", "-q") == (0, "", "")
    assert shell.run("rm", "web1", "-q")[0] == 1
    assert json.loads(shell.run("set", "web1", "pids.max=6", "-q", "--json")[1])["outcomes"]


@pytest.mark.parametrize("flag", ["-V", "--version"])
def test_the_version(shell: Shell, flag: str) -> None:
    assert shell.run(flag)[1].startswith("rctl ")


def test_get_without_a_key_prints_what_is_limited(shell: Shell) -> None:
    assert shell.run("get", "web1") == (0, "", "")
    shell.run("set", "web1", "pids.max=7", "io.max=sda rbps=5M")
    assert sorted(shell.run("get", "web1")[1].splitlines()) == ["io.max=8:0 rbps=5000000", "pids.max=7"]
    assert json.loads(shell.run("get", "web1", "--json")[1]) == {"io.max": ["8:0 rbps=5000000"], "pids.max": 7}


def test_history_of_one_ve_also_when_it_is_gone(shell: Shell) -> None:
    shell.run("set", "web1", "pids.max=5")
    shell.run("set", "web2", "pids.max=6")
    shell.run("rm", "web2")
    lines = shell.run("history", "web2")[1].splitlines()[1:]
    assert [line.split("rctl ")[-1] for line in lines] == ["rm web2", "set web2 pids.max=6"]
    assert len(shell.run("history", "web*", "--last", "2")[1].splitlines()) == 3
    assert shell.run("history", "db")[2] == "rctl: no adjustments of db. See rctl history\n"


def test_an_empty_list_is_a_line_and_no_head(shell: Shell) -> None:
    assert shell.run("history") == (0, "", "rctl: no adjustments yet\n")
    assert shell.run("ps", "web2") == (0, "", "rctl: no processes in these VEs\n")
    assert shell.run("history", "--json") == shell.run("ps", "web2", "--json") == (0, "[]\n", "")


def test_recover_takes_quiet_as_all_verbs_that_change_something(shell: Shell) -> None:
    assert shell.run("recover") == (0, "nothing to recover\n", "")
    assert shell.run("recover", "--quiet") == (0, "", "")


def test_a_dry_run_foresees_a_controller_that_new_ves_cannot_have(shell: Shell) -> None:
    (shell.folder / "site.toml").write_text("version = 1\n[ve.new1.limits]\npids.max = 5\n")
    assert shell.run("apply", "site.toml", "-n")[0] == 0
    shell.kernel.controllers = {"memory"}
    for words in (("diff", "site.toml"), ("apply", "site.toml", "-n")):
        status, out, err = shell.run(*words)
        assert (status, out) == (1, ""), words
        assert "pids.max: the pids controller is not available on this host" in err


@pytest.mark.parametrize("key", ["hugetlb.1GB", "hugetlb.1GB.max", "hugetlb.4MB.rsvd"])
def test_get_of_huge_pages_that_the_machine_has_not(shell: Shell, key: str) -> None:
    for before in ((), ("set", "web1", "hugetlb.2MB=4M")):
        if before:
            assert shell.run(*before)[0] == 0
        status, out, err = shell.run("get", "web1", key)
        assert (status, out) == (1, "")
        name = key.removesuffix(".max")
        assert err == f"rctl: {name}.max: this machine has no huge pages of that size. See /sys/kernel/mm/hugepages\n"
    assert shell.run("get", "web2", "hugetlb.2MB") == (0, "max\n", "")


def test_get_of_a_file_that_the_kernel_lacks_says_so_where_it_could_be(shell: Shell) -> None:
    shell.kernel.make("/rctl-new")
    shell.kernel.put("/", "cgroup.subtree_control", "-memory")
    assert shell.run("get", "new", "memory.zswap.writeback") == (0, "1\n", "")  # no controller: as on a new VE
    shell.run("set", "new", "memory.max=1G")
    status, out, err = shell.run("get", "new", "memory.zswap.writeback")
    assert (status, out) == (1, "")
    assert "memory.zswap.writeback: this kernel has no such file on /rctl-new (it came with Linux 6.8)" in err


@pytest.mark.parametrize("words", [("rm", "web2"), ("undo",)])
def test_who_removes_a_ve_gives_a_siblings_partition_its_cpus_again(shell: Shell, words: tuple[str, ...]) -> None:
    shell.run("rm", "web2")
    shell.run("set", "web1", "cpuset.cpus=1", "cpuset.partition=root")
    (shell.folder / "site.toml").write_text("version = 1\n[ve.web2.limits]\ncpuset.cpus = 1\n")
    shell.run("apply", "site.toml")
    shell.kernel.node("/rctl-web1").files["cpuset.cpus.partition"] = "root invalid (Cpu list not exclusive)"
    assert shell.run(*words)[0] == 0
    assert shell.kernel.get("/rctl-web1", "cpuset.cpus.partition") == "root"


def test_who_removes_a_ve_with_other_cpus_leaves_a_siblings_partition_alone(shell: Shell) -> None:
    shell.run("set", "web1", "cpuset.cpus=1", "cpuset.partition=root")
    shell.run("set", "web2", "cpuset.cpus=2")
    shell.kernel.node("/rctl-web1").files["cpuset.cpus.partition"] = (was := "root invalid (Cpu list not exclusive)")
    assert shell.run("rm", "web2")[0] == 0
    assert shell.kernel.get("/rctl-web1", "cpuset.cpus.partition") == was


def test_a_path_with_an_equals_sign_is_a_name(shell: Shell) -> None:
    shell.kernel.make("/a=b")
    assert shell.run("set", "/a=b", "pids.max=5")[0] == 0
    assert shell.run("history", "/a=b")[1].splitlines()[1:]


def test_only_what_can_be_written_is_set_verbatim(shell: Shell) -> None:
    assert shell.run("set", "web1", "files.memory.high=1G")[0] == 0
    for dry in ((), ("-n",)):
        status, _, err = shell.run("set", "web1", "files.pids.current=1", *dry)
        assert (status, err) == (
            1, "rctl: pids.current: on /rctl-web1: the kernel shows it, and takes nothing. See rctl set --help\n"
        )  # fmt: skip


def test_an_undo_is_not_taken_back_and_says_what_to_give_again(shell: Shell) -> None:
    shell.run("set", "web1", "pids.max=9")
    shell.run("undo")
    undo, first = json.loads(shell.run("history", "--json")[1])
    told = f"{undo['id']}: is an undo, which is not taken back. Give the command of {first['id']} again"
    assert told in shell.run("undo", undo["id"])[2]
    assert f"{first['id']}: was undone already" in shell.run("undo", first["id"])[2]
    gone = "20200101-000000-000-00000000"
    assert f"{gone}: no such adjustment" in shell.run("undo", gone)[2]
