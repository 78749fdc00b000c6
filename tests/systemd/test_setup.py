"""``rctl setup`` from a virtual environment in any folder: its units work, and --remove leaves nothing."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import rctl as package
from tests.systemd.helpers import AS_ALICE, MOUNT, done, edited, held, rctl, unit, until

REPO = Path(package.__file__).parents[1]
UNITS = Path("/etc/systemd/system")
ALICES = Path("/home/alice/.config/systemd/user")
PAGE = "http://127.0.0.1:19939/metrics"
SCRIPT = "#!{python}\nimport sys\nfrom rctl.start import main\nsys.exit(main())\n"  # as pip writes it
FOLDERS = ("/opt/other place", "/root/.local/share/pipx/venvs/rctl")
Install = Callable[[str], str]


@pytest.fixture
def install() -> Iterator[Install]:
    """Installs rctl in a virtual environment; the path of its program. All is gone afterwards."""
    made: list[str] = []

    def installed(folder: str) -> str:
        made.append(folder)
        done(sys.executable, "-m", "venv", "--without-pip", folder)
        (site,) = Path(folder, "lib").glob("python*/site-packages")
        for source in (REPO / "rctl", REPO / "exporters" / "rctl_exporter"):
            shutil.copytree(source, site / source.name)
        (site / "others.pth").write_text("/usr/share/lab/python\n")
        program = Path(folder, "bin", "rctl")
        program.write_text(
            SCRIPT.format(python=f"{folder}/bin/python") if " " not in folder else _SPACED.format(folder)
        )
        program.chmod(0o755)
        return str(program)

    yield installed
    for folder in made:
        subprocess.run(
            [f"{folder}/bin/rctl", "setup", "--remove", "--force", "--yes"], check=False, capture_output=True
        )
        shutil.rmtree(folder)


_SPACED = '#!/bin/sh\n"exec" "{0}/bin/python" "$0" "$@"\nimport sys\nfrom rctl.start import main\nsys.exit(main())\n'
"""The script in a folder with a blank, which no #! line can name."""


def page() -> str:
    """What the exporter answers; empty while nobody listens."""
    try:
        with urllib.request.urlopen(PAGE, timeout=60) as answer:
            return str(answer.read().decode())
    except OSError:
        return ""


def active(name: str, *options: str) -> bool:
    return subprocess.run(["systemctl", *options, "--quiet", "is-active", name], check=False).returncode == 0


def files(*folders: Path) -> list[Path]:
    """The files of rctl's below the folders, links included."""
    return [one for folder in folders for one in folder.rglob("*rctl*") if not one.is_dir() or one.is_symlink()]


@pytest.mark.parametrize("folder", FOLDERS)
def test_units_work_wherever_rctl_is_installed(install: Install, folder: str) -> None:
    program = install(folder)
    done(program, "setup", "restore", "keep", "exporter", "completion", "--start", "--yes")
    assert done(program, "setup", "--start", "--yes") == "all of this is in place already\n"
    with unit("app.service") as app:
        rctl("set", "app.service", "memory.swap.high=50M")

        # When the unit is made anew, keep puts its limit back.
        assert active("rctl-keep.service")
        done("systemctl", "restart", "app.service")
        until(lambda: held(app, "memory.swap.high") == str(50 << 20))

        # What runs at boot puts it back, too.
        done("systemctl", "stop", "rctl-keep.service")
        (MOUNT / app.strip("/") / "memory.swap.high").write_text("max")
        assert done("systemctl", "is-enabled", "rctl-restore.service").strip() == "enabled"
        done("systemctl", "start", "rctl-restore.service")
        assert held(app, "memory.swap.high") == str(50 << 20)
        rctl("forget", "app.service")

    # The exporter answers on this host's own address alone.
    assert "rctl_ve_memory_current_bytes" in page()
    assert "127.0.0.1:19939" in done("systemctl", "show", "-p", "Listen", "rctl-exporter.socket")

    # When it is removed, nothing is left.
    done(program, "setup", "--remove", "--yes")
    assert files(UNITS, Path("/usr/local/share")) == []
    assert not active("rctl-keep.service")
    assert not active("rctl-exporter.socket")
    assert page() == ""
    assert "rctl" not in done("systemctl", "list-units", "--all", "--plain", "rctl-*")


def test_the_exporter_answers_while_it_and_systemd_are_restarted(install: Install) -> None:
    program = install("/opt/exporter")
    done(program, "setup", "exporter", "--start", "--yes")
    answers: list[bool] = []
    over = threading.Event()

    def scrape() -> None:
        while not over.is_set():
            answers.append("rctl_ve_memory_current_bytes" in page())

    def restart(*words: str) -> None:
        before = len(answers)
        done("systemctl", *words)
        until(lambda: len(answers) > before + 1)

    client = threading.Thread(target=scrape)
    client.start()
    try:
        restart("restart", "rctl-exporter.service")
        restart("daemon-reexec")
        restart("restart", "rctl-exporter.service")
    finally:
        over.set()
        client.join()
    assert all(answers)


def test_the_exporters_unit_names_ves_and_units_and_with_the_setting_that_it_advises_containers(
    install: Install,
) -> None:
    done(install("/opt/labels"), "setup", "exporter", "--start", "--yes")
    rctl("run", "--detach", "web1", "--memory", "64M", "--", "sleep", "1000")
    try:
        ids = {
            f"{engine}:web": done(engine, "run", "-d", "--name", "web", "--network", "none", "box", "sleep", "1000")
            for engine in ("docker", "podman")
        }
        found = infos()
        assert (found["web1"]["owner"], found["web1"]["unit"]) == ("rctl", "rctl-web1.service")
        assert (found["nginx.service"]["owner"], found["nginx.service"]["unit"]) == ("systemd", "nginx.service")

        text = (UNITS / "rctl-exporter.service").read_text()
        advice = text.partition("# To have them, too: systemctl edit rctl-exporter, and write\n")[2].splitlines()
        with edited("rctl-exporter.service", "\n".join(line[1:].strip() for line in advice[:2])):
            done("systemctl", "restart", "rctl-exporter.service")
            found = infos()
        for name in ids:
            assert (found[name]["owner"], found[name]["container"]) == (name.partition(":")[0], "web")
            assert found[name]["image"].split(":")[0].rpartition("/")[2] == "box"
    finally:
        rctl("rm", "--kill", "web1")
        for engine in ("docker", "podman"):
            done(engine, "rm", "-f", "-t", "0", "web") if engine == "podman" else done(engine, "rm", "-f", "web")


def infos() -> dict[str, dict[str, str]]:
    """The labels of each VE's info metric on the exporter's page, by its name; without those that are empty."""
    lines = [line for line in page().splitlines() if line.startswith("rctl_ve_info{")]
    labels = [dict(re.findall(r'(\w+)="([^"]+)"', line)) for line in lines]
    return {one["ve"]: one for one in labels}


def test_a_virtual_environment_that_moved_is_mended_by_setup(install: Install) -> None:
    first, second = install("/opt/first"), install("/opt/second")
    done(first, "setup", "keep", "--start", "--yes")
    assert "(changed)" in done(second, "setup", "keep", "--yes")
    shutil.rmtree("/opt/first/lib")
    assert "/opt/second/bin/rctl keep" in done("systemctl", "show", "-p", "ExecStart", "rctl-keep.service")
    assert active("rctl-keep.service")
    done(second, "setup", "--remove", "--yes")


def test_an_ordinary_user_gets_units_of_her_own(install: Install) -> None:
    program = install("/home/alice/venv")
    done("chown", "-R", "alice:", "/home/alice/venv")
    refused = done(program, "setup", "keep", "--yes", status=1)
    assert refused.startswith("rctl: setup: /home/alice")
    assert files(UNITS) == []

    done(*AS_ALICE, program, "setup", "--start", "--yes")
    assert done(*AS_ALICE, program, "setup", "--start", "--yes") == "all of this is in place already\n"
    as_her = ("--user", "--machine=alice@")
    assert active("rctl-keep.service", *as_her)
    assert done("systemctl", *as_her, "is-enabled", "rctl-restore.service").strip() == "enabled"
    done("systemctl", *as_her, "start", "rctl-restore.service")
    assert "rctl_ve_memory_current_bytes" in page()
    assert {one.owner() for one in files(ALICES)} == {"alice"}

    done(*AS_ALICE, program, "setup", "--remove", "--yes")
    assert files(ALICES, Path("/home/alice/.local/share/bash-completion")) == []
    assert not active("rctl-keep.service", *as_her)
    assert page() == ""
    assert os.path.exists(program)
