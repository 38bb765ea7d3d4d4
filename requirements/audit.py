"""Known vulnerabilities of what the lock files pin: pip-audit asks OSV (osv.dev) about every version.

Where the service cannot be reached, that is said in one line, and nothing fails.
"""

import argparse
import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path

HERE = Path(__file__).parent
LOCKS = (HERE / "dev.txt", HERE / "gpu.txt")  # the first takes cpu.txt along
OSV = "https://api.osv.dev/v1/query"
# Has had several for years: by its answer the service is told from a proxy's page.
VULNERABLE = {"package": {"name": "jinja2", "ecosystem": "PyPI"}, "version": "2.4.1"}


def fault(url: str) -> str:
    """Why the service is of no use; empty if it is."""
    request = urllib.request.Request(url, data=json.dumps(VULNERABLE).encode())  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=10) as reply:  # noqa: S310
            found = json.load(reply)
    except (OSError, ValueError) as error:
        return str(error)
    return "" if isinstance(found, dict) and found.get("vulns") else "it knows no vulnerability of jinja2 2.4.1"


def main() -> int:
    """Audits the locks; 0 if nothing is known of them, or nothing can be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("locks", nargs="*", type=Path, default=LOCKS)
    parser.add_argument("--url", default=OSV, help="of the service")
    given = parser.parse_args()
    if reason := fault(given.url):
        print(f"audit skipped: {given.url} cannot be asked for vulnerabilities ({reason})")
        return 0
    command = [sys.executable, "-m", "pip_audit", "--vulnerability-service", "osv", "--osv-url", given.url]
    # Locks are whole and exact: pip need resolve nothing, and what cannot be looked up is an error.
    command += ["--no-deps", "--disable-pip", "--strict", "--progress-spinner", "off"]
    command += [f"--requirement={lock}" for lock in given.locks]
    return subprocess.run(command, env={**os.environ, "PIP_AUDIT_LOGLEVEL": "ERROR"}, check=False).returncode  # noqa: S603


if __name__ == "__main__":
    sys.exit(main())
