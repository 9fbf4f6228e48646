"""What a pass over data costs: arithmetic for each observation, and coordination for each worker.

* Work: processor time for each observation, one block after the other, for the flow of the chapter
  "Beyond this package".
* Dispatch: processor time that one chunk more costs the client and the scheduler of a Dask cluster,
  which share a process here; the workers have their own. Chunks hold one observation, so that
  nothing else counts.
* Rounds: what one dependent task more costs; the sums travel back in such rounds.
* Sleepers: workers that sleep instead of computing, one second of work shared out among them. So
  the scheduler meets more workers than there are processors. They are threads of its process, so a
  chunk costs more there, which is measured apart.

Writes `cost_per_pass.json`, which the chapter reads. Run it with `make bench`, or
`python -m benchmarks.cost_per_pass`.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
from dask.delayed import delayed
from dask.distributed import Client, LocalCluster

from flowtutorial import Affine, Chain, Flow, SinhArcsinh, StandardNormal
from flowtutorial.likelihood import _moments
from flowtutorial.observations import Block, Observations, observe

from .__main__ import machine

RESULTS = Path(__file__).resolve().parent / "cost_per_pass.json"
FLOW = Flow(StandardNormal(), Chain((SinhArcsinh(0.3, 0.2), Affine(1.0, 0.5))))
CHUNKS, CHAIN, WORKERS = (64, 256, 512), 60, (1, 2, 4, 8, 16, 32, 64)


def shortest(function: Any, times: int, clock: Any = time.perf_counter) -> float:
    """Return the shortest of several times in seconds, after one that is not counted."""
    function()
    seconds = []
    for _ in range(times):
        begin = clock()
        function()
        seconds.append(clock() - begin)
    return min(seconds)


def for_each_chunk(clock: Any) -> float:
    """Return the seconds that one chunk more takes."""
    passes = [shortest(lambda k=k: chunks_of_one(k).reduce(one), 4, clock) for k in CHUNKS]
    return float(np.polyfit(CHUNKS, passes, 1)[0])


def one(block: Block) -> tuple[float]:
    """Do next to nothing."""
    return (1.0,)


def nap(block: Block, seconds: float) -> tuple[float]:
    """Sleep."""
    time.sleep(seconds)
    return (1.0,)


def chunks_of_one(count: int) -> Observations:
    """Return data in chunks of one observation each."""
    return Observations(da.zeros(count, chunks=1), None)


def chain() -> None:
    """Compute tasks of which each waits for the one before."""
    value = delayed(0.0, pure=False)
    for _ in range(CHAIN):
        value = delayed(abs, pure=False)(value)
    value.compute(optimize_graph=False)


def cluster(workers: int, processes: bool) -> LocalCluster:
    """Start workers of one thread each."""
    return LocalCluster(
        n_workers=workers, threads_per_worker=1, processes=processes, dashboard_address=None,
        memory_limit=None, silence_logs=50,
    )  # fmt: skip


def main() -> None:
    """Measure and write."""
    x = observe(FLOW, FLOW.sample(1_000_000, 0))
    work = shortest(lambda: _moments(FLOW, x), 7, time.process_time) / len(x)
    print(f"work      {1e9 * work:8.0f} ns an observation, {FLOW.params.size} parameters")
    with dask.config.set({"distributed.admin.log-length": 0}):
        with cluster(2, processes=True) as local, Client(local):
            dispatch = for_each_chunk(time.process_time)
            chained = shortest(chain, 10) / CHAIN
        print(f"dispatch  {1e3 * dispatch:8.2f} ms a chunk, round {1e3 * chained:.2f} ms")
        with cluster(8, processes=False) as local, Client(local):
            in_one_process = for_each_chunk(time.perf_counter)
        print(f"          {1e3 * in_one_process:8.2f} ms a chunk where workers are threads")
        naps = {}
        for workers in WORKERS:
            with cluster(workers, processes=False) as local, Client(local):
                data, seconds = chunks_of_one(workers), 1.0 / workers
                naps[workers] = shortest(lambda d=data, s=seconds: d.reduce(nap, s), 5)
            print(f"sleepers  {naps[workers]:8.3f} s for {workers} workers")
    ours = machine()
    found = {
        "date": time.strftime("%Y-%m-%d"),
        "machine": f"{ours['cpu']}, {ours['processors']} processors",
        "python": ours["python"],
        "dask": dask.__version__,
        "seconds_per_observation": work,
        "seconds_per_chunk": dispatch,
        "seconds_per_round": chained,
        "sleepers": {"seconds_per_chunk": in_one_process, "seconds": naps},
    }
    RESULTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(f"wrote {RESULTS.name}; `make notebooks` brings the chapter up to date")


if __name__ == "__main__":
    main()
