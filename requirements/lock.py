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


def install(folder: Path, *arguments: str | Path) -> list[str]:
    """What stands in a fresh environment after an installation."""
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", TORCH, *arguments], check=True)  # noqa: S603
    return freeze(python)


def main() -> None:
    """Makes cpu.txt, and dev.txt with what the tools need beyond it; the tools must agree with what users have."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        everything = install(folder / "dev", f"{HERE.parent}[cpu,dev]")
        constraints = folder / "constraints.txt"
        constraints.write_text("\n".join(everything))
        cpu = install(folder / "cpu", f"{HERE.parent}[cpu]", "-c", constraints)
    dev = [line for line in everything if line not in cpu]
    head = "# The exact versions of a CPU installation, made by `make lock`. What is allowed stands in pyproject.toml."
    (HERE / "cpu.txt").write_text("\n".join([head, *cpu, ""]))
    (HERE / "dev.txt").write_text("\n".join(["# Test and lint tools, beside cpu.txt.", "-r cpu.txt", *dev, ""]))


if __name__ == "__main__":
    sys.exit(main())
