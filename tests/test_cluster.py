"""Data in blocks anywhere: Dask arrays, files mapped to memory, workers that go away."""

from __future__ import annotations

import os
import signal
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import psutil
import pytest
import zarr
from dask.distributed import Client, LocalCluster

from flowtutorial import (
    Affine,
    Chain,
    Exp,
    Flow,
    Shift,
    SinhArcsinh,
    StandardNormal,
    TriangularAffine,
    fit,
    gradient_ascent,
    maf,
    realnvp,
)
from flowtutorial.datasets import moons
from flowtutorial.observations import observe
from flowtutorial.training import _ChunkedSplit

X = 1.0 + 2.0 * np.sinh(np.random.default_rng(0).standard_normal(50_000))
SHAPED = Flow(StandardNormal(), Chain((SinhArcsinh(0.0, 0.0), Affine(0.0, 0.0))))
SHIFTED = Flow(StandardNormal(), Shift(0.0))
MOONS = moons(1000, 0)
CONTEXT = np.random.default_rng(1).standard_normal((1000, 1))
CONDITIONAL = maf(2, layers=1, hidden=(8,), context_dim=1)


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    with dask.config.set(scheduler="threads"):
        yield


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    settings = {"distributed.comm.timeouts.connect": "60s", "distributed.admin.log-length": 0}
    with (
        dask.config.set(settings),
        LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=True,
            memory_limit="400MiB",
            dashboard_address=None,
            silence_logs=50,
        ) as started,
    ):
        yield started


@pytest.fixture
def client(cluster: LocalCluster) -> Iterator[Client]:
    with Client(cluster) as connected, dask.config.set(scheduler=connected):
        yield connected


def test_log_prob_of_chunks_is_lazy_and_the_same() -> None:
    x = da.from_array(X, chunks=7000)
    result = SHAPED.log_prob(x)
    assert result.chunks == x.chunks
    np.testing.assert_array_equal(result.compute(), SHAPED.log_prob(X))
    small = SHAPED.log_prob(x.astype(np.float32))
    assert small.dtype == small.compute().dtype == np.float32
    table = da.from_array(MOONS.reshape(10, 100, 2), chunks=(3, 40, 1))
    density = realnvp(2, layers=2).log_prob(table)
    assert density.shape == (10, 100)
    np.testing.assert_allclose(
        density.compute(), realnvp(2, layers=2).log_prob(MOONS.reshape(10, 100, 2)), rtol=1e-13
    )


def test_log_prob_with_contexts() -> None:
    x, context = da.from_array(MOONS, chunks=(300, 1)), da.from_array(CONTEXT, chunks=170)
    expected = CONDITIONAL.log_prob(MOONS, CONTEXT)
    for data, given in ((x, context), (x, CONTEXT), (MOONS, context)):
        found = CONDITIONAL.log_prob(data, given)
        np.testing.assert_allclose(found.compute(), expected, rtol=1e-13)
    one = CONDITIONAL.log_prob(x, [0.5]).compute()
    np.testing.assert_allclose(one, CONDITIONAL.log_prob(MOONS, [0.5]), rtol=1e-13)


def test_fits_agree_with_those_in_memory() -> None:
    x = da.from_array(X, chunks=7000)
    here, there = fit(SHAPED, X), fit(SHAPED, x)
    assert there.converged
    np.testing.assert_allclose(there.params, here.params, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(there.covariance("sandwich"), here.covariance("sandwich"), rtol=1e-5)
    steps = [gradient_ascent(SHIFTED, data, 0.5, 3) for data in (X, x)]
    np.testing.assert_allclose(steps[1].params, steps[0].params, rtol=1e-12)
    assert SHIFTED.gradient(x).shift == pytest.approx(SHIFTED.gradient(X).shift, rel=1e-12)
    flow = Flow(StandardNormal(2), TriangularAffine.init(2))
    table = fit(flow, da.from_array(MOONS, chunks=(300, 1)))
    np.testing.assert_allclose(table.params, fit(flow, MOONS).params, rtol=1e-8, atol=1e-8)


def test_an_iteration_is_one_pass() -> None:
    reads = []

    def read(block: np.ndarray) -> np.ndarray:
        reads.append(len(block))
        return block

    x = da.from_array(X, chunks=10_000).map_blocks(read, dtype=float, meta=np.empty(0))
    with dask.config.set(scheduler="synchronous"):
        found = fit(SHIFTED, x)
    # one pass to look at the data, one at the start, and those of the iterations: the Hessian near
    # the maximum takes one more, and so may a step that is tried
    assert len(reads) <= 5 * (2 + 2 * found.iterations)


def test_adam_reads_chunk_by_chunk() -> None:
    x = da.from_array(MOONS, chunks=(np.array([300, 0, 450, 250]).tolist(), 2))
    data = observe(realnvp(2), x, density=True)
    split = _ChunkedSplit(data, 0.2, np.random.default_rng(0))
    assert (split.size, len(split.held)) == (800, 200)
    held = split.held.x.compute()
    batches = [batch.x for batch in split.batches(np.random.default_rng(1), 50)]
    assert [len(batch) for batch in batches] == [50] * 16
    everything = np.concatenate([held, *batches])
    assert len(np.unique(everything, axis=0)) == 1000
    np.testing.assert_array_equal(np.sort(everything, axis=0), np.sort(MOONS, axis=0))
    options: dict[str, Any] = {"epochs": 30, "batch_size": 100, "learning_rate": 5e-3}
    flow = realnvp(2, layers=4, hidden=(16,))
    here, there = fit(flow, MOONS, **options), fit(flow, x, **options)
    assert abs(here.log_likelihood - there.log_likelihood) < 0.15
    assert there.log_likelihood > flow.log_prob(MOONS).mean() + 0.3
    context = da.from_array(CONTEXT, chunks=400)
    assert fit(CONDITIONAL, x, context, epochs=2).history.shape == (2, 2)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda x: fit(SHIFTED, x.astype(complex)), TypeError, "x: expected real numbers"),
        (lambda x: fit(SHIFTED, x[x > 0.0]), ValueError, "x: .*compute_chunk_sizes"),
        (lambda x: fit(SHIFTED, x[:0]), ValueError, "x: no data"),
        (
            lambda x: fit(SHIFTED, da.where(x == X[12_345], np.nan, x)),
            ValueError,
            r"x: 1 of 50000 values are NaN or infinite, the first is x\[12345\] = nan",
        ),
        (
            lambda x: fit(Flow(StandardNormal(), Chain((Affine(0.0, 0.0), Exp()))), x),
            ValueError,
            r"x: \d+ of 50000 values have density 0",
        ),
        (lambda x: fit(SHAPED, da.zeros_like(x)), ValueError, "all 50000 values equal 0"),
        (lambda x: realnvp(2).log_prob(x.reshape(-1, 5)), ValueError, "vectors of length 2"),
        (
            lambda x: fit(CONDITIONAL, x.reshape(-1, 2), da.ones((7, 1))),
            ValueError,
            "context: expected one vector for each of 25000",
        ),
        (
            lambda x: fit(
                CONDITIONAL, da.from_array(MOONS), da.full((1000, 1), np.nan, chunks=300)
            ),
            ValueError,
            "context: 1000 of 1000 values are NaN",
        ),
        (lambda x: fit(SHIFTED, x, da.ones((5, 1))), ValueError, "context: .* not conditional"),
    ],
)
def test_what_is_wrong_is_named(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make(da.from_array(X, chunks=10_000))


def test_zarr(tmp_path: Path) -> None:
    stored = zarr.open_array(
        str(tmp_path / "x.zarr"), mode="w", shape=X.shape, chunks=(8000,), dtype="f8"
    )
    stored[:] = X
    found = fit(SHAPED, da.from_zarr(str(tmp_path / "x.zarr")))
    np.testing.assert_allclose(found.params, fit(SHAPED, X).params, rtol=1e-8, atol=1e-8)


def test_files_mapped_to_memory_stream_in_blocks(tmp_path: Path) -> None:
    n = 1_000_000
    for kind in (np.float32, np.int16, np.float64):
        file = np.memmap(tmp_path / "x", dtype=kind, mode="w+", shape=n)
        file[:] = np.resize(np.round(100.0 * X[:1000]), n)
        mapped = np.memmap(tmp_path / "x", dtype=kind, mode="r")
        flow = Flow(StandardNormal(), Affine(0.0, 5.0))
        fit(flow, mapped[:1000])
        tracemalloc.start()
        found = fit(flow, mapped)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 3 * 2**20
        assert found.params[0] == pytest.approx(np.mean(mapped, dtype=float), rel=1e-6)


def test_two_workers_find_the_same(client: Client) -> None:
    found = fit(SHAPED, da.from_array(X, chunks=5000))
    np.testing.assert_allclose(found.params, fit(SHAPED, X).params, rtol=1e-8, atol=1e-8)
    assert len(client.scheduler_info()["workers"]) == 2


def test_memory_stays_flat_beyond_the_limit(client: Client, cluster: LocalCluster) -> None:
    """4.5 GiB of data pass workers that may hold 0.4 GiB each."""
    processes = [psutil.Process(worker.pid) for worker in cluster.workers.values()]
    peaks = []
    for n in (20_000_000, 600_000_000):
        x = da.random.default_rng(0).integers(0, 5, n, chunks=2_000_000).astype(float)
        found = gradient_ascent(SHIFTED, x, 1.0, 1)
        assert found.params[-1, 0] == pytest.approx(2.0, abs=0.01)
        peaks.append(max(process.memory_info().rss for process in processes))
    assert x.nbytes > 10 * 400 * 2**20
    assert peaks[1] < peaks[0] + 100 * 2**20


def test_a_killed_worker_does_not_lose_the_fit(client: Client, tmp_path: Path) -> None:
    def die_once(block: np.ndarray, flag: str = "") -> np.ndarray:
        try:  # the first worker that comes by in the third pass
            passes = os.open(flag, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
            os.write(passes, b".")
            if os.fstat(passes).st_size == 25:
                os.kill(os.getpid(), signal.SIGKILL)
        finally:
            os.close(passes)
        return block

    flag = tmp_path / "passes"
    x = da.from_array(X, chunks=5000).map_blocks(
        die_once, flag=str(flag), dtype=float, meta=np.empty(0)
    )
    found = fit(SHAPED, x)
    assert flag.stat().st_size > 25
    np.testing.assert_allclose(found.params, fit(SHAPED, X).params, rtol=1e-8, atol=1e-8)
