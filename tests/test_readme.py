"""The code printed in README.md and CONTRIBUTING.md does what they say."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np

from flowtutorial import elementwise

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
CONTRIBUTING = ROOT / "CONTRIBUTING.md"
FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)


def test_example_prints_what_the_readme_shows(tmp_path: Path) -> None:
    blocks = FENCE.findall(README.read_text(encoding="utf-8"))
    code = "".join(body for language, body in blocks if language == "python")
    shown = "".join(body for language, body in blocks if language == "text")
    assert code
    assert shown
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=tmp_path,
        check=False,
        capture_output=True,
        encoding="utf-8",
        timeout=120,
    )
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout == shown
    assert not list(tmp_path.iterdir())  # it leaves nothing behind


def test_local_links_and_pictures_exist() -> None:
    text = README.read_text(encoding="utf-8") + CONTRIBUTING.read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)#\s]+)\)", text)
    local = [target for target in targets if "://" not in target]
    assert local
    missing = [target for target in local if not (ROOT / target).exists()]
    assert not missing


def test_the_bijection_shown_to_contributors_is_right() -> None:
    blocks = FENCE.findall(CONTRIBUTING.read_text(encoding="utf-8"))
    (code,) = [
        textwrap.dedent(body)
        for language, body in blocks
        if language == "python" and "class" in body
    ]
    names: dict[str, Any] = dict(vars(elementwise))  # the file that the text says it goes into
    exec(code, names)
    bijection = names["Power"](0.3)  # as in the line for the test table
    z = np.geomspace(0.1, 10.0, 13)
    x, log_det = bijection.forward_and_log_det(z)
    back, back_log_det = bijection.inverse_and_log_det(x)
    np.testing.assert_allclose(back, z, rtol=1e-12)
    np.testing.assert_allclose(back_log_det, -log_det, atol=1e-12)
    slope = (bijection.forward(z + 1e-5) - bijection.forward(z - 1e-5)) / 2e-5
    np.testing.assert_allclose(log_det, np.log(slope), atol=1e-8)
