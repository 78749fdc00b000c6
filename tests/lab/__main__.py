"""The lab from a shell: `python -m tests.lab run -- COMMAND`; `--help` lists the rest."""

import argparse
import os
import subprocess
import sys
from pathlib import Path

from tests import lab
from tests.lab import accel, disks
from tests.lab.base import REPO, LabError
from tests.lab.kernel import SUITES, choose, find, prepare
from tests.lab.systemd import host
from tests.lab.systemd.image import SUITES as SYSTEMD_SUITES
from tests.lab.tools import TOOLS, tools_folders

# hypothesis takes 6 s to load under emulation, and its properties are for tests/unit.
PYTEST = ("-m", "pytest", "-p", "no:cacheprovider", "-p", "no:hypothesispytest", "--rootdir", str(REPO))


def main(arguments: list[str]) -> int:
    """Do what the arguments say; returns the exit status, 125 when the lab itself fails."""
    # What follows is the command's, or pytest's, even where it looks like an option of ours.
    stop = arguments.index("--") if "--" in arguments else len(arguments)
    stop = 1 if arguments[:1] == ["kernel-tests"] else stop
    options, rest = _parser().parse_args(arguments[:stop]), arguments[stop:]
    does = {
        "run": _run,
        "systemd": _systemd,
        "status": _status,
        "prepare": _prepare,
        "shell": _shell,
        "kernel-tests": _kernel_tests,
    }
    try:
        return does[options.what](options, rest)
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 125
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.lab", description=lab.__doc__, allow_abbrev=False)
    what = parser.add_subparsers(dest="what", required=True)
    run = what.add_parser("run", help="run a command in a fresh guest", allow_abbrev=False)
    run.add_argument("--memory", default="2G", help="of the guest (default %(default)s)")
    run.add_argument("--cpus", type=int, default=2)
    run.add_argument("--disk", action="append", metavar="SIZE", help="a scratch disk, repeatable (default 256M twice)")
    run.add_argument("--zram", default="512M", metavar="SIZE", help="swap; 0 for none (default %(default)s)")
    run.add_argument("--icount", action="store_true", help="the instruction clock: one CPU, repeatable times, slow")
    run.add_argument("--tools", choices=TOOLS, help="have these programs, below $LAB_TOOLS and in PATH")
    run.add_argument("--result", type=Path, metavar="DIR", help="a folder the guest may write to, at $LAB_RESULT")
    run.add_argument("--deadline", type=float, default=600, metavar="SECONDS", help="(default %(default)s)")
    run.add_argument("--kernel", choices=SUITES, help="(default $LAB_KERNEL, else 6.1)")
    hosts = what.add_parser("systemd", help="run a command on a host that systemd runs", allow_abbrev=False)
    hosts.add_argument("--suite", choices=SYSTEMD_SUITES, help="of Debian (default $LAB_SUITE, else bookworm)")
    hosts.add_argument("--icount", action="store_true", help="the instruction clock: one CPU, repeatable times, slow")
    hosts.add_argument(
        "--result", type=Path, metavar="DIR", help="a folder for what is left in the guest's $LAB_RESULT"
    )
    hosts.add_argument("--deadline", type=float, default=600, metavar="SECONDS", help="(default %(default)s)")
    what.add_parser("shell", help="a shell in a fresh guest").add_argument("--kernel", choices=SUITES)
    what.add_parser("status", help="say what is ready, change nothing")
    ready = what.add_parser("prepare", help="fetch the kernel and make the disks", allow_abbrev=False)
    ready.add_argument("--kernel", choices=SUITES)
    ready.add_argument("--tools", action="store_true", help="fetch the programs that tests and benchmarks need, too")
    what.add_parser(
        "kernel-tests", help="run tests/kernel, or the files that are named; the arguments are pytest's", add_help=False
    )
    return parser


def _run(options: argparse.Namespace, command: list[str]) -> int:
    if command[:1] == ["--"]:
        command = command[1:]
    if not command:
        raise LabError("no command. Write it after --: python -m tests.lab run -- uname -r")
    return lab.run(
        command,
        memory=options.memory,
        cpus=options.cpus,
        disks=("256M", "256M") if options.disk is None else options.disk,
        zram=None if options.zram == "0" else options.zram,
        icount=options.icount,
        tools=options.tools,
        result=options.result,
        deadline=options.deadline,
        kernel=options.kernel,
    )


def _systemd(options: argparse.Namespace, command: list[str]) -> int:
    if not (command := command[1:]):
        raise LabError("no command. Write it after --: python -m tests.lab systemd -- systemctl status")
    return host.run(
        command, suite=options.suite, icount=options.icount, deadline=options.deadline, result=options.result
    )


def _status(_options: argparse.Namespace, _rest: list[str]) -> int:
    packages = subprocess.run([REPO / "tests/lab/packages", "--check"], capture_output=True, text=True, check=False)
    print(f"packages: {packages.stdout.strip() or 'all installed'}")
    print(f".venv: {'present' if disks.PYTHON.exists() else 'missing, make it: make setup'}")
    for name in SUITES:
        kernel = find(name)
        chosen = " (chosen)" if name == choose() else ""
        print(f"kernel {name}{chosen}: {kernel.release if kernel else 'not fetched yet'}")
    answer = accel.known() if not packages.returncode else None
    print(f"KVM: {'not tried yet' if answer is None else 'works' if answer else 'does not work here: emulation'}")
    return 0


def _prepare(options: argparse.Namespace, _rest: list[str]) -> int:
    disks.venv()
    kernel = prepare(choose(options.kernel))
    disks.stdlib()
    accel.kvm(kernel)
    for name in TOOLS if options.tools else ():
        tools_folders(name)
    return 0


def _shell(options: argparse.Namespace, _rest: list[str]) -> int:
    print("lab: booting, some ten seconds; leave it with exit or Ctrl-D", file=sys.stderr)
    return lab.shell(options.kernel)


def _kernel_tests(_options: argparse.Namespace, arguments: list[str]) -> int:
    named = any(argument.startswith("tests/kernel/") for argument in arguments)
    words = [*PYTEST, *arguments] if named else [*PYTEST, "tests/kernel", *arguments]
    if os.environ.get("RCTL_TESTS") == "host":
        path = f"{disks.VENV / 'bin'}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            [sys.executable, *words],
            cwd=REPO,
            env=os.environ | {"PATH": path},
            check=False,
        )
        return done.returncode
    return lab.run(["python", *words], deadline=1800, tools="prometheus")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
