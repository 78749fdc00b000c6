"""A small application on Python's SQLite, in the current directory: COUNT transactions that insert, update and select.

Needs only the standard library (``python -I -S``); prints the nanoseconds. The journal is written ahead (WAL), and
``synchronous`` is NORMAL, as SQLite recommends for it, so it waits for the disk only at checkpoints.
"""

import os
import sqlite3
import sys
import time

ROWS = 50


def transaction(base: sqlite3.Connection, number: int) -> None:
    """Insert rows, change some, read some back."""
    with base:
        rows = ((number * ROWS + i, f"name {number} {i}", i * 1.5) for i in range(ROWS))
        base.executemany("INSERT INTO item VALUES (?, ?, ?)", rows)
        base.execute(
            "UPDATE item SET price = price + 1 WHERE id % 7 = ? AND id >= ?", (number % 7, (number - 4) * ROWS)
        )
        base.execute("SELECT count(*), avg(price) FROM item WHERE name GLOB ?", (f"name {number} 1*",)).fetchone()


def now() -> int:
    """Nanoseconds; with WORK_CLOCK=busy, only those in which a task ran: see work.c."""
    if os.environ.get("WORK_CLOCK") != "busy":
        return time.perf_counter_ns()
    time.sleep(1e-6)
    with open("/proc/schedstat") as lines:
        return sum(int(line.split()[7]) for line in lines if line.startswith("cpu"))


def main() -> None:
    """Prepare, warm up, time, print."""
    count = int(sys.argv[1])
    for suffix in ("", "-wal", "-shm"):
        if os.path.exists(f"base.sqlite{suffix}"):
            os.unlink(f"base.sqlite{suffix}")
    base = sqlite3.connect("base.sqlite")
    base.execute("PRAGMA journal_mode = WAL")
    base.execute("PRAGMA synchronous = NORMAL")
    base.execute("CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT, price REAL)")
    base.execute("CREATE INDEX by_name ON item (name)")
    warm = count // 8 + 1
    for number in range(warm):
        transaction(base, number)
    begin = now()
    for number in range(warm, warm + count):
        transaction(base, number)
    sys.stdout.write(f"{now() - begin}\n")


if __name__ == "__main__":
    main()
