"""Write this machine's pip configuration as one file, and print the local paths in it, which must be mounted.

``build_and_run.sh`` uses it, so that a build downloads packages as this machine does.
"""

from __future__ import annotations

import configparser
import re
import subprocess
import sys
from pathlib import Path


def configuration() -> dict[str, str]:
    """Options of pip that apply to all commands. Those of the environment have priority."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True
    ).stdout
    options: dict[str, str] = {}
    for wanted in ("global.", "install.", ":env:."):  # rising precedence
        for line in listed.splitlines():
            name, _, value = line.partition("=")
            if name.startswith(wanted):
                options[name.removeprefix(wanted)] = value.strip().strip("'\"").replace("\\n", " ")
    return options


def local_paths(options: dict[str, str]) -> list[str]:
    """Folders and files of this machine that the options name."""
    words = (re.sub("^file://", "", word) for value in options.values() for word in value.split())
    found = [word for word in words if word.startswith("/") and Path(word).exists()]
    # A simple index refers to files beside it.
    return sorted({str(Path(word).parent) if Path(word).name == "simple" else word for word in found})


if __name__ == "__main__":
    options = configuration()
    target = configparser.RawConfigParser()
    target["global"] = {name: "\n".join(value.split()) for name, value in options.items()}
    with open(sys.argv[1], "w", encoding="utf-8") as file:
        target.write(file)
    print("\n".join(local_paths(options)))
