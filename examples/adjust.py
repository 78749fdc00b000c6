"""The Python API: half a CPU and 256 MiB for every VE on the command line, as one transaction; then their figures.

python examples/adjust.py web db batch
"""

import contextlib
import sys

import rctl

with contextlib.ExitStack() as stack:
    try:
        ves = [stack.enter_context(rctl.open(name)) for name in sys.argv[1:]]
        with rctl.transaction(*ves, options=rctl.Options(deadline=20.0)) as targets:
            for target in targets:
                target.cpu.max = 0.5
                target.memory.max = "256M"  # if more is in use, it is freed first, and no process is killed
    except rctl.RctlError as error:
        sys.exit(f"{error}\nNothing was changed.")
    for ve in ves:
        print(f"{ve.name}: {ve.cpu.max} CPUs, {ve.memory.current} of {ve.memory.max} bytes, {ve.sample().state}")
