"""A process for each library, and the rounds in which they take turns."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from .peers.install import python_of
from .peers.worker import MODULES

ROOT = Path(__file__).resolve().parent.parent
FAMILY_OF = {"of_scientific": "scientific", "of_torch": "torch", "of_jax": "jax"}
OURS = "flowtutorial"


class WithoutError(RuntimeError):
    """A library has nothing that computes what was asked."""


class Peer:
    """A library in a process of its own, which begins at the first request."""

    def __init__(self, name: str, problem: Path, threads: int = 1) -> None:
        self.name, self.problem, self.threads = name, problem, threads
        family = FAMILY_OF.get(MODULES[name])
        self.python = python_of(family) if family else Path(sys.executable)
        self.process: subprocess.Popen[str] | None = None

    def _begin(self) -> subprocess.Popen[str]:
        if not self.python.exists():
            raise RuntimeError(f"no environment {self.python.parent.parent.name}")
        counts = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
        eigen = "true" if self.threads > 1 else "false"
        module = f"{__package__}.peers.worker"
        return subprocess.Popen(
            [str(self.python), "-W", "ignore", "-m", module, self.name, str(self.problem)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            cwd=ROOT, env={
                **os.environ, **{count: str(self.threads) for count in counts},
                "XLA_FLAGS": f"--xla_cpu_multi_thread_eigen={eigen}", "JAX_PLATFORMS": "cpu",
                "PYTHONPATH": "",
            },
        )  # fmt: skip

    def ask(self, do: str, *, seconds: float = 120.0, **request: Any) -> Any:
        """Return an answer.

        Raises
        ------
        WithoutError
            If the library has nothing that computes it.
        RuntimeError
            With the reason, if there is no answer in so many seconds.
        """
        self.process = self.process or self._begin()
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        timer = threading.Timer(seconds, self.process.kill)
        timer.start()
        try:
            self.process.stdin.write(json.dumps({"do": do, **request}) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        late = not timer.is_alive()
        timer.cancel()
        if not line:
            self.close()
            raise RuntimeError(f"no answer in {seconds:g} s" if late else "the process ended")
        answer = json.loads(line)
        if "without" in answer:
            raise WithoutError(answer["without"])
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["answer"]

    def close(self) -> None:
        """End the process; the next request begins another."""
        if self.process is None:
            return
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.stdout.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None


class Answers:
    """What the libraries answered in each round; who has no equivalent, and who failed, and why."""

    def __init__(self) -> None:
        self.of: dict[str, list[Any]] = {}
        self.without: dict[str, str] = {}
        self.failed: dict[str, str] = {}

    def ask(self, peer: Peer, name: str, do: str, **request: Any) -> Any:
        """Return and keep an answer; None if there is none, now or before."""
        if name in self.without or name in self.failed:
            return None
        try:
            answer = peer.ask(do, **request)
        except WithoutError as error:
            self.without[name] = str(error)
        except RuntimeError as error:
            self.failed[name] = str(error)
        else:
            self.of.setdefault(name, []).append(answer)
            return answer
        self.of.pop(name, None)
        return None


def in_turn(peers: list[Peer], rounds: int, do: str, **request: Any) -> Answers:
    """Return what each library answers in each round."""
    answers = Answers()
    for turn in range(rounds):
        seed = {"seed": turn} if do in ("steps", "sampling") else {}
        for peer in peers:
            answers.ask(peer, peer.name, do, **request, **seed)
    return answers
