"""What each room may import: the table in ARCHITECTURE.md, the single source, against the imports themselves."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import rctl

TOP = Path(__file__).parents[2]
PACKAGE = TOP / "rctl"
EXPORTER = TOP / "exporters" / "rctl_exporter"
"""A package of its own, and one room."""
ENTRANCES = {"__init__", "__main__", "start", "version"}
"""Files beside the rooms: they name things, or start the command line."""

HEAVY = {"cgroupspy", "plotly", "prometheus_client", "psutil", "rich", "typer"}
STANDARD = set(sys.stdlib_module_names) | {"msgspec"}


class Import(NamedTuple):
    """One import: which file, which line, which module, and whether it waits until a function runs."""

    place: str
    room: str
    module: str
    late: bool

    @property
    def inner(self) -> str:
        """The room that is imported, or ``""`` for what is not rctl's."""
        parts = self.module.split(".")
        if parts[0] == EXPORTER.name:
            return EXPORTER.name
        return (parts[1] if len(parts) > 1 else "__init__") if parts[0] == "rctl" else ""


class Row(NamedTuple):
    """What a room may import: rooms and libraries, and those of them that only a function may."""

    allowed: frozenset[str]
    late: frozenset[str]


def table(text: str, first: str = "room") -> dict[str, Row]:
    """The rooms' rows of a page in Markdown. ``first``: the head of the table's first column."""
    rows: dict[str, Row] = {}
    lines = iter(text.splitlines())
    head = next(line for line in lines if line.startswith(f"| {first} |") and "| may import |" in line)
    column = [cell.strip() for cell in head.split("|")].index("may import")
    next(lines)
    for line in lines:
        if not line.startswith("|"):
            break
        cells = [cell.strip() for cell in line.split("|")]
        words = [word.strip() for word in re.split(r"[,;]", cells[column]) if word.strip()]
        late = frozenset(word.removesuffix(" (late)") for word in words if word.endswith(" (late)"))
        rows[cells[1].strip("`")] = Row(frozenset(word.removesuffix(" (late)") for word in words), late)
    for room, row in rows.items():
        for word in row.allowed:
            if match := re.fullmatch(r"everything but (\w+)", word):
                rows[room] = Row(row.allowed - {word} | (set(rows) - {match[1], room}), row.late)
    return rows


ROWS = table((TOP / "ARCHITECTURE.md").read_text())
DIVIDED = {room: table((TOP / "ARCHITECTURE.md").read_text(), f"room of `{room}`") for room in ("adjust", "bench")}
"""Rooms that are divided in turn, and the tables of the rooms within them."""


def imports(path: Path) -> Iterator[Import]:
    """All imports of a file; those for type checkers alone do not count."""
    parts = path.relative_to(EXPORTER.parent if path.is_relative_to(EXPORTER) else PACKAGE).with_suffix("").parts
    tree = ast.parse(path.read_text())
    skipped = {
        child
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for statement in node.body
        for child in ast.walk(statement)
    }
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    late = {child for function in functions for child in ast.walk(function)}
    for node in ast.walk(tree):
        if node in skipped:
            continue
        for module in _modules(node, parts):
            yield Import(f"{path.relative_to(TOP)}:{node.lineno}", parts[0], module, node in late)  # type: ignore[attr-defined]


def _modules(node: ast.AST, parts: tuple[str, ...]) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if not isinstance(node, ast.ImportFrom):
        return []
    if not node.level:
        return [node.module or ""]
    package = [*([] if parts[0] == EXPORTER.name else ["rctl"]), *parts[:-1]]
    base = ".".join(package[: len(package) - node.level + 1])
    if node.module:
        return [f"{base}.{node.module}"]
    return [f"{base}.{alias.name}" for alias in node.names]


FILES = [*sorted(PACKAGE.rglob("*.py")), *sorted(EXPORTER.rglob("*.py"))]
ALL = [found for file in FILES for found in imports(file)]
ROOMS = sorted(
    {*(file.relative_to(PACKAGE).with_suffix("").parts[0] for file in PACKAGE.rglob("*.py")), EXPORTER.name} - ENTRANCES
)


def told(found: list[Import]) -> list[str]:
    return [f"{one.place} imports {one.module}" for one in found]


def test_every_room_has_a_row_and_every_row_a_room() -> None:
    assert sorted(ROWS) == ROOMS


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_what_its_row_allows(room: str) -> None:
    row = ROWS[room]
    outside = [
        one
        for one in ALL
        if one.room == room
        and one.inner != room
        and (one.inner or one.module.split(".")[0]) not in row.allowed
        and one.module.split(".")[0] not in STANDARD
        and one.inner not in ENTRANCES
    ]
    assert told(outside) == []


@pytest.mark.parametrize("room", ROOMS)
def test_what_is_to_be_late_is_inside_a_function(room: str) -> None:
    early = [one for one in ALL if one.room == room and one.module.split(".")[0] in ROWS[room].late and not one.late]
    assert told(early) == []


def test_nothing_imports_the_command_line_but_what_starts_it() -> None:
    starting = {"rctl/start.py", "rctl/__main__.py", "exporters/rctl_exporter/__main__.py"}
    outside = [one for one in ALL if one.inner in ("cli", "start") and one.room != "cli"]
    assert {one.place.split(":")[0] for one in outside} == starting


def in_order(needs: dict[str, set[str]]) -> None:
    """Fails unless there is an order in which each room needs none that comes after it."""
    while needs:
        ready = [room for room, others in needs.items() if not others & set(needs)]
        assert ready, f"these need one another: {needs}"
        for room in ready:
            del needs[room]


def test_the_rooms_make_no_circle() -> None:
    in_order({room: {one.inner for one in ALL if one.room == room} & set(ROOMS) - {room} for room in ROOMS})


@pytest.mark.parametrize("whole", DIVIDED)
def test_a_divided_room_keeps_to_its_own_table(whole: str) -> None:
    rows = DIVIDED[whole]
    inside = [
        (Path(one.place.split(":")[0]).relative_to(f"rctl/{whole}").with_suffix("").parts[0], target)
        for one in ALL
        if one.room == whole
        for target in re.findall(rf"^rctl\.{whole}\.(\w+)", one.module)
    ]
    needs = {room: {target for here, target in inside if here == room} - {room} for room in rows}
    files = (path.relative_to(PACKAGE / whole).with_suffix("").parts[0] for path in (PACKAGE / whole).rglob("*.py"))
    assert set(files) - ENTRANCES == set(rows)
    assert {room: others - rows[room].allowed for room, others in needs.items()} == {room: set() for room in rows}
    in_order(needs)


@pytest.mark.parametrize("room", ["controllers", "formats", "limits", "units", "host", "errors"])
def test_a_pure_room_does_no_io(room: str) -> None:
    reaching = [one for one in ALL if one.room == room and one.module.split(".")[0] in IO]
    if room == "errors":
        reaching = [one for one in reaching if one.module != "os"]  # os.strerror alone; see below
    assert told(reaching) == []
    for file in FILES:
        if file.is_relative_to(PACKAGE / room) or file == PACKAGE / f"{room}.py":
            used = {
                ast.unparse(node.func) for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)
            }
            assert not {"open", "input", "print", "exec", "eval", "os.open", "os.read", "os.write"} & used, file


IO = {"os", "io", "pathlib", "shutil", "socket", "subprocess", "tempfile", "glob", "mmap", "fcntl"}


STATE = {f"rctl/adjust/{n}.py" for n in ("records/journal", "records/log_files", "locks", "state_folder")}
STATE.update(("rctl/over_time/change_log.py", "rctl/systemd/drop_ins.py"))
"""Files that work in rctl's own folders and in those of drop-ins, relative to their descriptors."""


def test_only_the_kernel_room_opens_files_relative_to_a_cgroup() -> None:
    places = [
        f"{file.relative_to(TOP)}:{node.lineno}"
        for file in FILES
        if not {"cgroupfs", "bench"} & set(file.relative_to(TOP).parts)  # bench has bare loops to compare with
        if file.relative_to(TOP).as_posix() not in STATE  # they hold other folders open
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("os.open", "os.mkdir", "os.rmdir")
        if any(keyword.arg == "dir_fd" for keyword in node.keywords)
    ]
    assert places == []


def test_only_the_kernel_room_knows_where_cgroup2_is_mounted() -> None:
    places = [
        f"{file.relative_to(TOP)}:{node.lineno}"
        for file in FILES
        if file.parent.name not in ("cgroupfs", "doctor")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("/sys/fs/cgroup")
    ]
    assert places == []


def loaded(statement: str) -> set[str]:
    """The modules that a new Python has after a statement."""
    command = f"import sys\n{statement}\nprint(*{{name.split('.')[0] for name in sys.modules}})"
    return set(
        subprocess.run(
            [sys.executable, "-c", command], capture_output=True, text=True, check=True, cwd=TOP
        ).stdout.split()
    )


@pytest.mark.parametrize("statement", ["import rctl.adjust.engine", "import rctl.ve.bare", "import rctl.sample"])
def test_nothing_heavy_is_loaded_before_it_is_needed(statement: str) -> None:
    before = loaded("pass")
    assert not (loaded(statement) - before) & HEAVY
    others = {name for name in loaded(statement) - before - STANDARD if not name.startswith("_")}
    assert others <= {"rctl", "typing_extensions"}, "msgspec loads typing_extensions where it is installed"


def test_importing_rctl_itself_loads_nothing_but_names() -> None:
    """It takes half a millisecond, and no other module. Each of the names is there all the same."""
    command = "import sys; before = {*sys.modules}; import rctl; print(*{*sys.modules} - before)"
    run = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True, cwd=TOP)
    assert set(run.stdout.split()) <= {"rctl", "__future__"}
    assert all(getattr(rctl, name) for name in rctl.__all__)


def test_the_table_is_read_as_it_is_written() -> None:
    page = "\n".join(
        [
            "| room | what it is | may import |",
            "|---|---|---|",
            "| `a` | first | |",
            "| `b` | second | a; psutil (late) |",
            "| `c` | last | everything but b; typer |",
            "",
            "| `d` | in no table | a |",
        ]
    )
    assert table(page) == {
        "a": Row(frozenset(), frozenset()),
        "b": Row(frozenset({"a", "psutil"}), frozenset({"psutil"})),
        "c": Row(frozenset({"a", "typer"}), frozenset()),
    }
