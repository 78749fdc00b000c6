"""``make audit``: whether a known vulnerability is in what ``make setup`` installs, as pip-audit's report says.

pip-audit asks a service for each package. Where that cannot be reached, or knows none of them, nothing has been
checked: that is said, and is no failure. A vulnerability is.
"""

from __future__ import annotations

import json
import subprocess
import sys

UNREACHABLE = ("ConnectionError", "ConnectTimeout", "ReadTimeout", "ServiceError", "ProxyError", "SSLError")


def main(pip_audit: str, requirements: str) -> int:
    """Ask pip-audit and print its verdict. Returns the exit status: 1 for a vulnerability, or when it fails itself."""
    options = "--format json --progress-spinner off --disable-pip --require-hashes --requirement"
    done = subprocess.run([pip_audit, *options.split(), requirements], capture_output=True, text=True)
    lines, status = verdict(done.stdout, done.stderr)
    print("\n".join(f"audit: {line}" for line in lines))
    return status


def verdict(report: str, errors: str) -> tuple[list[str], int]:
    """What to print, and the exit status, for pip-audit's JSON and its standard error."""
    try:
        packages = json.loads(report)["dependencies"]
    except (ValueError, KeyError):
        last = (errors.strip().splitlines() or ["it printed nothing"])[-1][:200]
        if any(word in errors for word in UNREACHABLE):
            return [f"nothing was checked: the vulnerability service cannot be reached ({last})"], 0
        return [f"pip-audit failed: {last}"], 1
    skipped = [package for package in packages if "skip_reason" in package]
    found = [
        f"{package['name']} {package['version']}: {flaw['id']}, mended in {' or '.join(flaw['fix_versions']) or 'none'}"
        for package in packages
        for flaw in package.get("vulns", ())
    ]
    if len(skipped) == len(packages):
        return ["nothing was checked: the vulnerability service knows none of the packages"], 0
    checked = len(packages) - len(skipped)
    told = [f"{checked} of {len(packages)} packages checked, {len(found)} known vulnerabilities"]
    if skipped:
        told.append(f"not checked: {', '.join(package['name'] for package in skipped)}")
    return [*told, *found], int(bool(found))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
