"""A job without a runner: its steps are run one by one."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from played.forge import ACTION, Ran, outside


@dataclass
class Job:
    """A job whose steps are run one by one, with the environment that a runner documents and no runner.

    Attributes:
        folder: of the runner.
        environ: of every step.
        outputs: of the steps so far.
    """

    folder: Path
    environ: dict[str, str]
    outputs: dict[str, str] = field(default_factory=dict)

    def start(self, name: str) -> subprocess.Popen[str]:
        environ = {**outside(), **self.environ, "GITHUB_OUTPUT": str(self.folder / f"{name}.output")}
        if "plan" in self.outputs:
            environ["INFEROPT_PLAN"] = self.outputs["plan"]
        command = [sys.executable, str(ACTION / "step.py"), name]
        where = self.environ["GITHUB_WORKSPACE"]
        # A shell's background job ignores Ctrl-C, and what it starts would; a runner's step does not.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            return subprocess.Popen(
                command, env=environ, cwd=where, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8"
            )
        finally:
            signal.signal(signal.SIGINT, before)

    def end(self, name: str, process: subprocess.Popen[str]) -> Ran:
        printed, _ = process.communicate(timeout=120)
        path = self.folder / f"{name}.output"
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
        self.outputs |= dict(re.findall(r"^([a-z0-9-]+)<<(?:end-\S+)\n(.*?)\nend-\S+$", text, re.MULTILINE | re.DOTALL))
        path.unlink(missing_ok=True)
        return Ran(process.returncode, printed, printed)

    def step(self, name: str) -> Ran:
        """Run a step to its end."""
        return self.end(name, self.start(name))

    def report(self) -> dict[str, Any]:
        return json.loads(Path(self.outputs["json-path"]).read_text(encoding="utf-8"))
