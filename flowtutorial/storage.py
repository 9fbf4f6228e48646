"""Flows on disk: one `.npz` with the arrays and a description of what they belong to.

The description is JSON text, the array `structure`; every other array is named for its place in the
flow, so that `numpy.load(path)` shows all that is there. Nothing is pickled: loading runs no code
but the constructors of classes that are known beforehand.
"""

from __future__ import annotations

import errno
import io
import json
import os
import secrets
import shutil
import zipfile
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from .flow import Flow

VERSION = 1  # of the description; a higher one is refused
HEAD = {"format": "flowtutorial", "version": VERSION}
STRUCTURE = "structure"  # no other array has this name: theirs begin with "flow"


def save(flow: Flow, path: str | os.PathLike[str]) -> None:
    """Write `flow` to the file `path`, of exactly that name, every number to the last bit.

    What was there before stays until the new file is complete. A process that is killed may leave a
    file `flow-....tmp` beside it.

    Raises
    ------
    TypeError
        If `flow` is not a flow or has a field that can't be stored, or `path` is not a path.
    ValueError
        If two of its classes have the same name, or one does not take its own fields.
    OSError
        If the file can't be written.
    """
    from .flow import Flow

    target = os.path.realpath(_text(path))  # a link stays a link
    if not isinstance(flow, Flow):
        raise TypeError(f"flow: expected a Flow, got {flow!r}")
    if os.path.exists(target) and not os.path.isfile(target):
        code = errno.EISDIR if os.path.isdir(target) else errno.EINVAL
        raise OSError(code, os.strerror(code), target)
    arrays: dict[str, np.ndarray] = {}
    classes = _known(())
    described = _encode(flow, "flow", arrays, classes)
    _decode(described, "flow", arrays.__getitem__, classes)  # what can't come back isn't stored
    arrays[STRUCTURE] = np.array(json.dumps({**HEAD, "flow": described}))
    _write(arrays, target)


def load(path: str | os.PathLike[str], classes: Iterable[type] = ()) -> Flow:
    """Return the flow that `save` wrote to `path`.

    Parameters
    ----------
    path : str or path-like
        The file.
    classes : iterable of type
        Your own dataclasses that the flow is made of.

    Raises
    ------
    TypeError
        If `path` is not a path, or `classes` holds something else than dataclasses.
    ValueError
        If the file is damaged, of another kind or of a newer version; if the flow has a class that
        is neither in the package nor in `classes`; if two classes have the same name.
    OSError
        If there is no such file (`FileNotFoundError`), or it can't be read.
    """
    known = _known(classes)
    with open(_text(path), "rb") as file:
        content = file.read()
    try:  # from here on, whatever goes wrong is due to the content
        return _read(content, known)
    except Exception as error:
        raise ValueError(f"{os.fspath(path)}: not a flow that can be read: {error}") from error


def _text(path: object) -> str:
    name = os.fspath(path) if isinstance(path, os.PathLike) else path
    if not isinstance(name, str):
        raise TypeError(f"path: expected a str or a pathlib.Path, got {path!r}")
    return name


def _known(classes: Iterable[type]) -> dict[str, type]:
    """Return by name the classes of the package and those given; no others are ever made."""
    import flowtutorial

    public = [getattr(flowtutorial, name) for name in flowtutorial.__all__]
    known = {c.__name__: c for c in public if isinstance(c, type) and is_dataclass(c)}
    given = list(classes) if isinstance(classes, Iterable) else [None]
    if not all(isinstance(cls, type) and is_dataclass(cls) for cls in given):
        raise TypeError(f"classes: expected a tuple of dataclasses, got {classes!r}")
    for cls in given:
        _add(cls, known)
    return known


def _add(cls: Any, known: dict[str, type]) -> None:
    other = known.setdefault(cls.__name__, cls)
    if other is not cls:
        modules = f"{other.__module__} and {cls.__module__}"
        raise ValueError(f"two classes, of {modules}, have the name {cls.__name__}; rename one")


def _names(cls: Any) -> list[str]:
    """Return the fields that the constructor takes; it makes the others itself."""
    return [field.name for field in fields(cls) if field.init]


def _encode(value: Any, at: str, arrays: dict[str, np.ndarray], known: dict[str, type]) -> Any:
    """Return `value` as JSON can hold it; collect its arrays and classes on the way."""
    if value is None or type(value) in (bool, int, float, str):
        return value  # JSON keeps these, floats to the last bit
    if type(value) in (tuple, list):
        parts = [_encode(part, f"{at}[{i}]", arrays, known) for i, part in enumerate(value)]
        return {type(value).__name__: parts}
    kind = "scalar" if isinstance(value, np.generic) else "array"
    if (kind == "scalar" or type(value) is np.ndarray) and value.dtype.kind in "fiub":
        arrays[at] = np.asarray(value)
        return {kind: at}
    if not is_dataclass(value) or isinstance(value, type):
        raise TypeError(
            f"{at}: can't store {getattr(value, 'dtype', type(value))}; expected real numbers, "
            "booleans or arrays of them, strings, None, tuples of these, or a dataclass"
        )
    _add(type(value), known)
    own = {n: _encode(getattr(value, n), f"{at}.{n}", arrays, known) for n in _names(value)}
    return {"class": type(value).__name__, "fields": own}


def _decode(node: Any, at: str, array: Callable[[str], np.ndarray], known: dict[str, type]) -> Any:
    """Return the value that `_encode` described; `array` gives an array by its name."""
    match node:
        case None | bool() | int() | float() | str():
            return node
        case {"tuple": list(parts)} | {"list": list(parts)} if len(node) == 1:
            made = [_decode(part, f"{at}[{i}]", array, known) for i, part in enumerate(parts)]
            return made if "list" in node else tuple(made)
        case {"array": name} | {"scalar": name} if len(node) == 1 and name == at:
            return array(at) if "array" in node else array(at)[()]
        case {"class": str(name), "fields": dict(parts)} if len(node) == 2:
            if name not in known:
                raise ValueError(
                    f"{at} is of the class {name!r}, which is not in the package; "
                    f"if you have it, pass classes=({name},)"
                )
            if set(parts) != set(_names(known[name])):
                expected = f"{name} takes {_names(known[name])}"
                raise ValueError(f"{at}: {expected}, the file has {list(parts)}")
            values = {n: _decode(part, f"{at}.{n}", array, known) for n, part in parts.items()}
            try:
                return known[name](**values)
            except Exception as error:  # every class refuses in its own way
                raise ValueError(f"{at}: {name} refuses its fields: {error}") from error
    raise ValueError(f"{at}: the description is damaged")


def _read(content: bytes, known: dict[str, type]) -> Flow:
    from .flow import Flow

    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        left = archive.namelist()

        def array(name: str) -> np.ndarray:
            if f"{name}.npy" not in left:
                raise ValueError(f"there is no array {name!r}")
            left.remove(f"{name}.npy")  # a second one of this name would be left over
            stored = io.BytesIO(archive.read(f"{name}.npy"))  # compares the checksum
            return np.lib.format.read_array(stored, allow_pickle=False)

        described = json.loads(str(array(STRUCTURE)))
        if not isinstance(described, dict) or described.get("format") != HEAD["format"]:
            raise ValueError("another program wrote it")
        version = described.get("version")
        if isinstance(version, int) and version > VERSION:
            raise ValueError(
                f"its version {version} is newer than {VERSION}, the last that this flowtutorial "
                "knows; install a newer one"
            )
        if version != VERSION or described.keys() != {*HEAD, "flow"}:
            raise ValueError("the description is damaged")
        flow = _decode(described["flow"], "flow", array, known)
    if not isinstance(flow, Flow):
        raise ValueError(f"it holds {type(flow).__name__}, not a flow")
    if left:
        raise ValueError(f"it has entries that belong to no flow: {', '.join(left)}")
    return flow


def _write(arrays: dict[str, np.ndarray], target: str) -> None:
    """Write an `.npz` beside the target and put it in its place in one step."""
    temporary = os.path.join(os.path.dirname(target), f"flow-{secrets.token_hex(8)}.tmp")
    try:
        with open(temporary, "xb") as file:
            with zipfile.ZipFile(file, "w") as archive:
                for name, array in arrays.items():
                    entry = zipfile.ZipInfo(f"{name}.npy")  # of a fixed date: same flow, same bytes
                    with archive.open(entry, "w", force_zip64=True) as stream:
                        np.lib.format.write_array(stream, array, allow_pickle=False)
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileNotFoundError):
            shutil.copymode(target, temporary)  # a private file stays private
        os.replace(temporary, target)
    except BaseException:
        with suppress(FileNotFoundError):
            os.remove(temporary)
        raise
