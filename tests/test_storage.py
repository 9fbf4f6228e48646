"""Saved flows come back to the last bit, files that are not whole say so, and no save harms one."""

from __future__ import annotations

import io
import json
import os
import pickle
import signal
import stat
import subprocess
import sys
import textwrap
import threading
import zipfile
from collections.abc import Callable
from dataclasses import InitVar, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sympy as sp
from cases import CASES

import flowtutorial
from flowtutorial import (
    MLP,
    Affine,
    Autoregressive,
    Bijection,
    Chain,
    Coupling,
    Exp,
    Flow,
    LogisticMixture,
    LULinear,
    Permutation,
    RationalQuadraticSpline,
    Shift,
    StandardNormal,
    Uniform,
)
from flowtutorial.storage import load, save
from flowtutorial.symbolic import SymArray


def flow_of(bijection: Bijection) -> Flow:
    """Return a flow with a base whose values the bijection takes."""
    if bijection.event_ndim:
        dim = getattr(bijection, "dim", None)
        return Flow(StandardNormal(dim or 2), bijection)
    if bijection.domain == (-np.inf, np.inf):
        return Flow(StandardNormal(), bijection)
    if bijection.domain == (0.0, 1.0):
        return Flow(Uniform(), bijection)
    return Flow(Flow(StandardNormal(), Exp()), bijection)  # a flow as the base of another


LAYERS = {
    "layer-permutation": Permutation((2, 0, 1)),
    "layer-lu": LULinear.init(3, 0),
    "layer-coupling": Coupling.init(3, 1, hidden=(4,)),
    "layer-coupling-spline": Coupling.init(
        3, 2, hidden=(4,), transformer=RationalQuadraticSpline.init(3)
    ),
    "layer-masked": Autoregressive.init(3, 3, hidden=(4,), activation="tanh"),
    "layers": Chain(
        (Coupling.init(3, 4, hidden=(4,)), Permutation((1, 2, 0)), LULinear.init(3, 5))
    ),
}
FLOWS = {name: flow_of(b) for name, b in {**CASES, **LAYERS}.items()}
SPLINE = RationalQuadraticSpline([0.5, 0.0, -0.5], [-0.25, 1.0, 0.0], [0.75, -1.0])
FLOW = Flow(StandardNormal(), Chain((SPLINE, Affine(1.0, -0.5))))


@dataclass(frozen=True, eq=False)
class Box(Bijection):
    """A bijection of a reader's own, the identity, with room for anything."""

    content: Any = field(default=None, metadata={"static": True})

    def forward_and_log_det(self, z: Any) -> Any:
        return z, np.zeros_like(z)

    def inverse_and_log_det(self, x: Any) -> Any:
        return x, np.zeros_like(x)


@dataclass(frozen=True)
class Cauchy:
    """A distribution of a reader's own, with a field that the constructor makes."""

    scale: float
    log_norm: float = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "log_norm", -np.log(np.pi * self.scale))

    def log_prob(self, z: Any) -> Any:
        return self.log_norm - np.log1p((z / self.scale) ** 2)

    def sample(self, n: int, rng: np.random.Generator) -> Any:
        return self.scale * rng.standard_cauchy(n)


def same(a: Any, b: Any) -> bool:
    """Whether two values are of one type and equal to the last bit."""
    if type(a) is not type(b):
        return False
    if isinstance(a, np.ndarray | np.generic):
        return (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())
    if isinstance(a, tuple | list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, float):
        return a.hex() == b.hex()
    if hasattr(a, "__dataclass_fields__"):
        return all(same(getattr(a, n), getattr(b, n)) for n in a.__dataclass_fields__)
    return bool(a == b)


def boxed(content: Any) -> Flow:
    return Flow(StandardNormal(), Box(content))


# -- round trips -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FLOWS)
def test_round_trip(name: str, tmp_path: Path) -> None:
    flow = FLOWS[name]
    save(flow, tmp_path / "flow.npz")
    again = load(tmp_path / "flow.npz")
    assert same(again, flow)
    assert repr(again) == repr(flow)
    assert again.params.tobytes() == flow.params.tobytes()
    assert again.param_names == flow.param_names
    x = flow.sample(100, 0)
    assert again.sample(100, 0).tobytes() == x.tobytes()
    assert again.log_prob(x).tobytes() == flow.log_prob(x).tobytes()


CONTENT = [
    *(None, True, False, 0, -1, 2**200, "", "σ and \x00 \ud800 …\n"),
    *(0.0, -0.0, 1e-320, 5e-324, 0.1, 1e22, np.pi, 1.7976931348623157e308, np.inf, -np.inf),
    *((), ((), (1, (2.0,))), [], [1, (2.0, [None])], (True, 1, 1.0)),
    *(np.float64(-0.0), np.float32(0.1), np.float16(0.1), np.int64(7), np.uint8(7), np.bool_(True)),
    *(np.zeros((0, 3)), np.array(2.5), np.arange(6).reshape(2, 3), np.array([True, False])),
    *(np.array([-0.0, np.nan, np.inf, 5e-324]), np.float32([0.1, 1e-45]), np.array([1], ">f8")),
    *(np.array([2**64 - 1], np.uint64), np.longdouble([0.1]), np.float16([0.1])),
    *(np.asfortranarray(np.arange(6.0).reshape(2, 3)), np.arange(10.0)[::-3]),
    *(Affine(1.0, 2.0), (StandardNormal(), MLP(([[1.0]],), ([0.5],), masks=([[1]],)))),
]


@pytest.mark.parametrize("content", CONTENT, ids=repr)
def test_every_kind_of_field(content: Any, tmp_path: Path) -> None:
    save(boxed(content), tmp_path / "flow.npz")
    again = load(tmp_path / "flow.npz", classes=[Box])
    assert same(again.bijection.content, content)
    if isinstance(content, np.ndarray) and content.flags.forc:  # the order of summation hangs on it
        assert again.bijection.content.flags.f_contiguous == content.flags.f_contiguous


def test_bits_of_a_nan_array_are_kept(tmp_path: Path) -> None:
    odd = np.array([0x7FF8000000000ABC, 0xFFF8000000000001], np.uint64).view(np.float64)
    save(boxed(odd), tmp_path / "flow.npz")
    assert load(tmp_path / "flow.npz", (Box,)).bijection.content.tobytes() == odd.tobytes()


def test_own_classes(tmp_path: Path) -> None:
    path = tmp_path / "flow.npz"
    flow = Flow(Cauchy(2.0), Chain((Box(np.arange(3)), Affine(1.0, 0.5))))
    save(flow, path)
    assert same(load(path, classes=(Box, Cauchy)), flow)
    assert same(load(path, classes=iter([Box, Cauchy, Affine, Box])), flow)  # named twice: no harm
    message = r"flow\.npz: .* flow\.base is of the class 'Cauchy', .*pass classes=\(Cauchy,\)"
    with pytest.raises(ValueError, match=message):
        load(path)
    with pytest.raises(ValueError, match=r"flow\.bijection\.parts\[0\] is of the class 'Box'"):
        load(path, classes=(Cauchy,))


def test_a_name_is_never_imported(tmp_path: Path) -> None:
    path = tmp_path / "flow.npz"
    for name in ("os.system", "SplineBin", "flowtutorial.spline.SplineBin", "fit", "__class__"):
        forge(path, bijection={"class": name, "fields": {}})
        with pytest.raises(ValueError, match=f"class '{name}', which is not in the package"):
            load(path)


def test_numpy_alone_reads_the_numbers(tmp_path: Path) -> None:
    save(FLOW, tmp_path / "flow.npz")
    with np.load(tmp_path / "flow.npz", allow_pickle=False) as file:
        assert "flow.bijection.parts[0].widths" in file
        assert np.array_equal(file["flow.bijection.parts[0].heights"], SPLINE.heights)
        described = json.loads(str(file["structure"]))
    assert described["flow"]["fields"]["bijection"]["fields"]["parts"]["tuple"][1] == {
        "class": "Affine",
        "fields": {"shift": 1.0, "log_scale": -0.5},
    }


def test_the_same_flow_gives_the_same_bytes(tmp_path: Path) -> None:
    save(FLOW, tmp_path / "a")
    save(load(tmp_path / "a"), tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


# -- what can't be stored --------------------------------------------------------------------------


class Labelled(np.ndarray):
    """A subclass of arrays, which might hold more than its numbers."""


@pytest.mark.parametrize(
    "content",
    [
        1j,
        np.array([1j]),
        np.complex128(1j),
        np.array(["text"]),
        np.array([None]),
        np.array(["2000-01-01"], "M8[D]"),
        np.zeros(2, [("a", "f8")]),
        np.ma.masked_array([1.0]),
        np.arange(3.0).view(Labelled),
        {"a": 1},
        {1},
        b"bytes",
        np.exp,
        print,
        Affine,
        object(),
        np.random.default_rng(0),
        stat.S_IFMT,
        signal.SIGTERM,  # an integer with a name, which would be lost
    ],
    ids=lambda content: type(content).__name__,
)
def test_a_field_that_cannot_be_stored(content: Any, tmp_path: Path) -> None:
    flow = Flow(StandardNormal(), Chain((Affine(0.0, 0.0), Box((1, content)))))
    with pytest.raises(TypeError, match=r"^flow\.bijection\.parts\[1\]\.content\[1\]: can't store"):
        save(flow, tmp_path / "flow.npz")
    assert not any(tmp_path.iterdir())


def test_a_traced_flow_cannot_be_stored(tmp_path: Path) -> None:
    flow = Flow(StandardNormal(), Shift(SymArray(sp.Symbol("m", real=True))))
    with pytest.raises(TypeError, match=r"flow\.bijection\.shift: can't store"):
        save(flow, tmp_path / "flow.npz")


def test_a_base_that_is_no_dataclass(tmp_path: Path) -> None:
    class Plain:
        log_prob = StandardNormal.log_prob
        sample = StandardNormal.sample

    with pytest.raises(TypeError, match=r"flow\.base: can't store .*Plain.* or a dataclass"):
        save(Flow(Plain(), Shift(0.0)), tmp_path / "flow.npz")


@pytest.mark.parametrize("flow", [None, SPLINE, Flow, "flow"], ids=repr)
def test_only_flows_are_saved(flow: Any, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="flow: expected a Flow, got"):
        save(flow, tmp_path / "flow.npz")


def test_what_could_not_be_loaded_is_not_saved(tmp_path: Path) -> None:
    @dataclass(frozen=True, eq=False)
    class Sized(Box):
        size: InitVar[int] = field(kw_only=True)  # the constructor asks for it and forgets it

    with pytest.raises(ValueError, match=r"flow\.bijection: Sized refuses its fields: .*size"):
        save(Flow(StandardNormal(), Sized(size=3)), tmp_path / "flow.npz")
    assert not any(tmp_path.iterdir())


def test_two_classes_of_one_name(tmp_path: Path) -> None:
    path = tmp_path / "flow.npz"

    def another(name: str) -> type:
        return dataclass(frozen=True, eq=False)(type(name, (Box,), {}))

    for bijection in (another("Affine")(), Chain((Box(), another("Box")()))):
        with pytest.raises(ValueError, match=r"two classes, of .* have the name (Affine|Box)"):
            save(Flow(StandardNormal(), bijection), path)
    assert not path.exists()
    save(FLOW, path)
    for classes in ([another("Affine")], [Box, another("Box")]):
        with pytest.raises(ValueError, match=r"two classes, of .* have the name (Affine|Box)"):
            load(path, classes)


@pytest.mark.parametrize("classes", [Box, [Box(1)], ["Box"], [int], None, 3], ids=repr)
def test_classes_are_a_tuple_of_dataclasses(classes: Any, tmp_path: Path) -> None:
    save(FLOW, tmp_path / "flow.npz")
    with pytest.raises(TypeError, match="classes: expected a tuple of dataclasses, got"):
        load(tmp_path / "flow.npz", classes)


# -- paths -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["flow.npz", "flow", "flow.model", "π flow.npz.old"])
def test_the_file_has_exactly_the_name_given(name: str, tmp_path: Path) -> None:
    save(FLOW, str(tmp_path / name))
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert same(load(str(tmp_path / name)), FLOW)


def test_a_relative_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    save(FLOW, "flow.npz")
    assert same(load(Path("flow.npz")), FLOW)


@pytest.mark.parametrize(
    "path", [None, 3, b"flow.npz", io.BytesIO(), ("a", "b")], ids=lambda p: type(p).__name__
)
def test_other_paths_are_refused(path: Any) -> None:
    with pytest.raises(TypeError, match=r"path: expected a str or a pathlib\.Path, got"):
        save(FLOW, path)
    with pytest.raises(TypeError, match=r"path: expected a str or a pathlib\.Path, got"):
        load(path)


def test_missing_files_and_folders(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.npz"):
        load(tmp_path / "none.npz")
    with pytest.raises(IsADirectoryError):
        load(tmp_path)
    with pytest.raises(IsADirectoryError):
        save(FLOW, tmp_path)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        save(FLOW, tmp_path / "nowhere" / "flow.npz")
    assert not any(tmp_path.iterdir())


def test_a_pipe_is_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="pipe"):
        save(FLOW, tmp_path / "pipe")
    assert [path.is_fifo() for path in tmp_path.iterdir()] == [True]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    link = tmp_path / "link.npz"
    link.symlink_to(folder / "flow.npz")
    for flow in (FLOW, FLOWS["affine"]):
        save(flow, link)
        assert link.is_symlink()
        assert same(load(folder / "flow.npz"), flow)


@pytest.mark.parametrize("mask", [0o022, 0o027, 0o077])
def test_the_mode_is_that_of_any_new_file(mask: int, tmp_path: Path) -> None:
    before = os.umask(mask)
    try:
        save(FLOW, tmp_path / "flow.npz")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "flow.npz").stat().st_mode) == 0o666 & ~mask


def test_the_mode_of_an_existing_file_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "flow.npz"
    for mode in (0o600, 0o640):
        path.touch()
        path.chmod(mode)
        save(FLOW, path)
        assert stat.S_IMODE(path.stat().st_mode) == mode


# -- files that are not whole ----------------------------------------------------------------------


def npz(members: dict[str, Any]) -> bytes:
    """Return a zip of arrays, and of bytes as they are; its checksums are right."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, value in members.items():
            stream = io.BytesIO()
            if not isinstance(value, bytes):
                np.lib.format.write_array(stream, np.asarray(value))
            archive.writestr(name, value if isinstance(value, bytes) else stream.getvalue())
    return file.getvalue()


def described(**changes: Any) -> dict[str, Any]:
    """Return the description of a flow of a spline, with parts of it changed."""
    at = "flow.bijection"
    names = ("widths", "heights", "slopes")
    interval = {"tuple": [-3.0, 3.0]}
    fields = {**{name: {"array": f"{at}.{name}"} for name in names}, "interval": interval}
    top = {
        "base": changes.pop("base", {"class": "StandardNormal", "fields": {"dim": None}}),
        "bijection": changes.pop("bijection", None)
        or {"class": "RationalQuadraticSpline", "fields": {**fields, **changes.pop("fields", {})}},
    }
    flow = {"class": "Flow", "fields": top}
    return {"format": "flowtutorial", "version": 1, "flow": flow, **changes}


ARRAYS = {
    "flow.bijection.widths.npy": np.zeros(2),
    "flow.bijection.heights.npy": np.zeros(2),
    "flow.bijection.slopes.npy": np.zeros(1),
}


def forge(path: Path, arrays: dict[str, Any] = ARRAYS, **changes: Any) -> None:
    path.write_bytes(npz({"structure.npy": json.dumps(described(**changes)), **arrays}))


def test_the_forged_file_is_right_before_it_is_changed(tmp_path: Path) -> None:
    forge(tmp_path / "flow.npz")
    spline = RationalQuadraticSpline.init(2)
    assert same(load(tmp_path / "flow.npz"), Flow(StandardNormal(), spline))


def pickled() -> bytes:
    """Return an array member that NumPy would unpickle if it were allowed to."""
    stream = io.BytesIO()
    np.lib.format.write_array(stream, np.array([print], object), allow_pickle=True)
    return stream.getvalue()


def claiming(shape: tuple[int, ...]) -> bytes:
    """Return an array member of two numbers whose header claims another shape."""
    stream = io.BytesIO()
    header = {"descr": "<f8", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, header)
    return stream.getvalue() + bytes(16)


STRUCTURE_JSON = json.dumps(described())
FOREIGN: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "not a zip file"),
    "text": (b"shift,log_scale\n1.0,2.0\n", "not a zip file"),
    "npy": (pickled(), "not a zip file"),
    "pickle": (pickle.dumps({"a": 1}), "not a zip file"),
    "zip-empty": (npz({}), "there is no array 'structure'"),
    "zip-other": (npz({"readme.txt": b"hello"}), "there is no array 'structure'"),
    "npz-other": (npz({"x.npy": np.arange(3)}), "there is no array 'structure'"),
    "structure-elsewhere": (npz({"structure": b"{}"}), "there is no array 'structure'"),
    "structure-raw": (npz({"structure.npy": b"{}"}), "magic string|EOF"),
    "structure-numbers": (npz({"structure.npy": np.arange(3)}), "Expecting|delimiter"),
    "structure-pickle": (npz({"structure.npy": pickled()}), "allow_pickle=False"),
    "structure-list": (npz({"structure.npy": "[]"}), "another program wrote it"),
    "structure-other": (npz({"structure.npy": '{"format": "x"}'}), "another program wrote it"),
    "structure-cut": (npz({"structure.npy": STRUCTURE_JSON[:-1]}), "delimiter"),
    "structure-deep": (npz({"structure.npy": "[" * 100_000}), "recursion"),
    "array-pickle": (
        npz(
            {"structure.npy": STRUCTURE_JSON, **ARRAYS, "flow.bijection.widths.npy": pickled()},
        ),
        "allow_pickle=False",
    ),
    "array-missing": (
        npz({"structure.npy": STRUCTURE_JSON, **dict(list(ARRAYS.items())[1:])}),
        r"there is no array 'flow\.bijection\.widths'",
    ),
    "array-left": (
        npz({"structure.npy": STRUCTURE_JSON, **ARRAYS, "flow.more.npy": np.zeros(1)}),
        r"entries that belong to no flow: flow\.more\.npy",
    ),
    "file-left": (
        npz({"structure.npy": STRUCTURE_JSON, **ARRAYS, "readme.txt": b"hello"}),
        r"entries that belong to no flow: readme\.txt",
    ),
    "array-cut": (
        npz(
            {
                "structure.npy": STRUCTURE_JSON,
                **ARRAYS,
                "flow.bijection.widths.npy": pickled()[:20],
            }
        ),
        "EOF",
    ),
    "array-huge": (
        npz(
            {
                "structure.npy": STRUCTURE_JSON,
                **ARRAYS,
                "flow.bijection.widths.npy": claiming((10**15,)),
            }
        ),
        "Unable to allocate|EOF",
    ),
    "array-shape": (
        npz({"structure.npy": STRUCTURE_JSON, **ARRAYS, "flow.bijection.slopes.npy": np.zeros(2)}),
        r"flow\.bijection: RationalQuadraticSpline refuses its fields: slopes: expected 1",
    ),
    "array-complex": (
        npz({"structure.npy": STRUCTURE_JSON, **ARRAYS, "flow.bijection.slopes.npy": [1j]}),
        r"flow\.bijection: RationalQuadraticSpline refuses its fields: slopes: expected real",
    ),
    "array-infinite": (
        npz({"structure.npy": STRUCTURE_JSON, **ARRAYS, "flow.bijection.slopes.npy": [np.inf]}),
        r"flow: Flow refuses its fields: RationalQuadraticSpline\.slopes: expected a? ?finite",
    ),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_foreign_and_damaged_files(name: str, tmp_path: Path) -> None:
    content, message = FOREIGN[name]
    path = tmp_path / "the file.npz"
    path.write_bytes(content)
    with pytest.raises(
        ValueError, match=rf"the file\.npz: not a flow that can be read: .*{message}"
    ):
        load(path)


AFFINE = {"class": "Affine", "fields": {"shift": 1.0, "log_scale": 0.5}}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": 2}, r"its version 2 is newer than 1, .*install a newer one"),
        ({"version": 2, "flow": None, "more": 1}, r"its version 2 is newer than 1"),
        ({"version": 0}, "the description is damaged"),
        ({"version": "1"}, "the description is damaged"),
        ({"version": None}, "the description is damaged"),
        ({"format": "nflows"}, "another program wrote it"),
        ({"more": 1}, "the description is damaged"),
        ({"flow": None}, "it holds NoneType, not a flow"),
        ({"flow": AFFINE}, "it holds Affine, not a flow"),
        ({"flow": []}, "flow: the description is damaged"),
        ({"flow": {}}, "flow: the description is damaged"),
        ({"flow": {"class": "Flow"}}, "flow: the description is damaged"),
        ({"flow": {"class": "Flow", "fields": []}}, "flow: the description is damaged"),
        ({"flow": {"class": 3, "fields": {}}}, "flow: the description is damaged"),
        ({"flow": {"class": "Flow", "fields": {}, "x": 1}}, "flow: the description is damaged"),
        ({"flow": {"tuple": [], "list": []}}, "flow: the description is damaged"),
        ({"flow": {"tuple": 3}}, "flow: the description is damaged"),
        ({"flow": {"array": "structure"}}, "flow: the description is damaged"),
        ({"flow": {"array": ["flow"]}}, "flow: the description is damaged"),
        ({"flow": {"class": "Flow", "fields": {}}}, r"Flow takes .*'base'.*, the file has \[\]"),
        ({"fields": {"more": 1}}, r"flow\.bijection: RationalQuadraticSpline takes .* 'more'"),
        ({"fields": {"widths": None}}, r"refuses its fields: widths: expected real"),
        ({"fields": {"interval": {"tuple": [3.0, -3.0]}}}, "refuses its fields: interval"),
        ({"fields": {"slopes": {"array": "flow.bijection.widths"}}}, r"slopes: the description is"),
        ({"base": 1.0}, "flow: Flow refuses its fields: base: expected an object"),
        ({"bijection": {"class": "Bijection", "fields": {}}}, "Bijection refuses its fields"),
        ({"bijection": {"class": "Fit", "fields": {}}}, "Fit takes"),
        (
            {"bijection": {"class": "Affine", "fields": {"shift": 1.0}}},
            r"Affine takes \['shift', 'log_scale'\], the file has \['shift'\]",
        ),
        (
            {"bijection": {"class": "Shift", "fields": {"shift": float("nan")}}},
            r"flow: Flow refuses its fields: Shift\.shift: expected a finite number, got nan",
        ),
        (
            {"bijection": {"class": "Shift", "fields": {"shift": "1.0"}}},
            r"flow: Flow refuses its fields: Shift\.shift: expected real numbers",
        ),
        (
            {"bijection": {"class": "Chain", "fields": {"parts": 1}}},
            "Chain refuses its fields: parts",
        ),
    ],
)
def test_descriptions_of_the_wrong_form(changes: Any, message: str, tmp_path: Path) -> None:
    path = tmp_path / "flow.npz"
    forge(path, **changes)
    with pytest.raises(ValueError, match=rf"flow\.npz: not a flow that can be read: .*{message}"):
        load(path)


@pytest.mark.filterwarnings("error")
def test_a_file_cut_short_anywhere_is_refused(tmp_path: Path) -> None:
    save(FLOW, tmp_path / "flow.npz")
    content = (tmp_path / "flow.npz").read_bytes()
    path = tmp_path / "cut.npz"
    for length in range(0, len(content), 7):
        path.write_bytes(content[:length])
        with pytest.raises(ValueError, match=r"cut\.npz: not a flow that can be read"):
            load(path)


def test_a_flipped_bit_anywhere_is_refused_or_harmless(tmp_path: Path) -> None:
    """Some bits of a zip say nothing about its content: dates, hints for other systems."""
    save(FLOW, tmp_path / "flow.npz")
    content = (tmp_path / "flow.npz").read_bytes()
    path = tmp_path / "flipped.npz"
    refused = 0
    for place in range(0, len(content), 3):
        damaged = bytearray(content)
        damaged[place] ^= 1 << (place // 3) % 8
        path.write_bytes(damaged)
        try:
            assert same(load(path), FLOW), place
        except ValueError as error:
            assert "flipped.npz: not a flow that can be read" in str(error)  # noqa: PT017
            refused += 1
    assert refused > 0.8 * len(content) / 3


def test_a_flipped_bit_in_an_array_is_refused_by_its_checksum(tmp_path: Path) -> None:
    path = tmp_path / "flow.npz"
    save(FLOW, path)
    content = bytearray(path.read_bytes())
    place = content.index(SPLINE.heights.tobytes())
    content[place + 5] ^= 4
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"Bad CRC-32 for file 'flow.bijection.parts\[0\].heights"):
        load(path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_arrays_of_one_name_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "flow.npz"
    save(FLOW, path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("structure.npy", archive.read("structure.npy"))
    with pytest.raises(ValueError, match=r"belong to no flow: structure\.npy"):
        load(path)


# -- saves that fail, are killed, or meet ----------------------------------------------------------


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("step", ["write_array", "fsync", "replace"])
def test_a_save_that_fails_leaves_what_was_there(
    step: str, error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "flow.npz"
    save(FLOW, path)
    before = path.read_bytes()

    def fail(*arguments: Any, **options: Any) -> None:
        raise error

    monkeypatch.setattr(np.lib.format if step == "write_array" else os, step, fail)
    for target in (path, tmp_path / "new.npz"):
        with pytest.raises(type(error)):
            save(FLOWS["logistic-mixture"], target)
    monkeypatch.undo()
    assert [p.name for p in tmp_path.iterdir()] == ["flow.npz"]
    assert path.read_bytes() == before


SLOW = """
    import os, sys, time
    import numpy as np
    from flowtutorial import Flow, LogisticMixture, NormalCDF, Chain, StandardNormal
    from flowtutorial.storage import save

    def stop(*arguments):
        print(sorted(os.listdir(".")), flush=True)
        time.sleep(600)

    write = np.lib.format.write_array

    def half(stream, array, **options):
        if array.size < 1000:
            return write(stream, array, **options)
        stream.write(array.tobytes()[: array.nbytes // 2])
        stop()

    if sys.argv[1] == "array":
        np.lib.format.write_array = half
    else:
        os.replace = stop
    big = np.zeros(1_000_000)
    mixture = LogisticMixture(big[1:], big, big)
    save(Flow(StandardNormal(), Chain((NormalCDF(), mixture))), "flow.npz")
"""


@pytest.mark.parametrize("moment", ["array", "replace"])
def test_a_killed_save_leaves_what_was_there(moment: str, tmp_path: Path) -> None:
    path = tmp_path / "flow.npz"
    save(FLOW, path)
    before = path.read_bytes()
    package = Path(flowtutorial.__file__).parent.parent
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(SLOW), moment],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(package)},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert child.stdout is not None
        seen = child.stdout.readline()  # it stands in the middle now
        assert seen.count(".tmp") == 1
    finally:
        child.kill()
        child.wait()
        child.stdout.close()
    assert child.returncode == -signal.SIGKILL
    assert path.read_bytes() == before
    assert same(load(path), FLOW)
    [left] = tmp_path.glob("flow-*.tmp")
    assert (
        left.stat().st_size > 4_000_000 if moment == "array" else left.stat().st_size > 24_000_000
    )
    save(FLOWS["affine"], path)  # the next save is not in its way
    assert same(load(path), FLOWS["affine"])


def test_saves_that_meet_leave_one_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "flow.npz"
    candidates = [
        Flow(Uniform(), LogisticMixture(np.zeros(4999), np.full(5000, float(k)), np.zeros(5000)))
        for k in range(4)
    ]
    save(candidates[0], path)
    start = threading.Barrier(5)
    errors: list[BaseException] = []

    def run(action: Callable[[], Any]) -> None:
        try:
            start.wait()
            for _ in range(20):
                action()
        except BaseException as error:
            errors.append(error)

    def read() -> None:
        means = load(path).bijection.means  # type: ignore[attr-defined]
        assert means.shape == (5000,)
        assert np.all(means == means[0])

    actions: list[Callable[[], Any]] = [lambda flow=flow: save(flow, path) for flow in candidates]
    threads = [threading.Thread(target=run, args=(action,)) for action in (*actions, read)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert [p.name for p in tmp_path.iterdir()] == ["flow.npz"]
    assert any(same(load(path), flow) for flow in candidates)
