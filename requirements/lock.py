"""Writes the lock files: installs the ranges of pyproject.toml into a fresh environment and notes what came."""

import subprocess
import sys
import tempfile
import venv
from pathlib import Path

HERE = Path(__file__).parent
TORCH = "torch==2.13.0"  # one build for CPU and GPU locks; move it here


def freeze(python: Path) -> list[str]:
    """Every installed package as NAME==VERSION, without local build tags, so that a mirror's build fits too."""
    command = [python, "-m", "pip", "freeze", "--exclude", "xlstance"]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()  # noqa: S603
    return [line.split("+")[0] for line in lines]


def main() -> None:
    """Makes cpu.txt, and dev.txt with what the tools need beyond it."""
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python = Path(folder) / "bin" / "python"
        install = [python, "-m", "pip", "install", "-q", TORCH]
        subprocess.run([*install, f"{HERE.parent}[cpu]"], check=True)  # noqa: S603
        cpu = freeze(python)
        subprocess.run([*install, f"{HERE.parent}[cpu,dev]"], check=True)  # noqa: S603
        dev = [line for line in freeze(python) if line not in cpu]
    head = "# The exact versions of a CPU installation, made by `make lock`. What is allowed stands in pyproject.toml."
    (HERE / "cpu.txt").write_text("\n".join([head, *cpu, ""]))
    (HERE / "dev.txt").write_text("\n".join(["# Test and lint tools, beside cpu.txt.", "-r cpu.txt", *dev, ""]))


if __name__ == "__main__":
    sys.exit(main())
