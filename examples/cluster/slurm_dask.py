"""A cohort on a Dask cluster that grows and shrinks in Slurm's queue.

    pip install "sarcomap[cpu,cohort]" dask-jobqueue
    python slurm_dask.py /archive/20201 /scratch/cohort --jobs 50

Run it where it may run for hours: on a login node that allows it, or in a small job of its own. Every job holds one
Dask worker; each of its threads watches one process of SarcoMAP. Jobs that end or are killed are replaced, and their
studies are processed again. Run the same line again to go on.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence

import dask
import dask.utils

from app.cohort.dask_cluster import RECOMMENDED


def main(argv: Sequence[str] | None = None) -> int:
    """Start the cluster, process the cohort on it, and end the cluster."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("input", help="folder, pattern or manifest of studies")
    parser.add_argument("out", help="the cohort's folder, on a file system that all nodes share")
    parser.add_argument("--jobs", type=int, default=20, help="jobs in the queue at most")
    parser.add_argument("--cores", type=int, default=4, help="cores of a job, and studies at a time in it")
    parser.add_argument("--memory", default="12GiB", help="memory of a job: 2.5 GiB for each core, and 1 GiB")
    parser.add_argument("--walltime", default="04:00:00")
    parser.add_argument("--partition", help="Slurm's partition")
    options, more = parser.parse_known_args(argv)

    dask.config.set(RECOMMENDED)  # before the cluster is made
    from dask_jobqueue import SLURMCluster

    with SLURMCluster(
        queue=options.partition,
        cores=options.cores,
        processes=1,
        memory=options.memory,
        walltime=options.walltime,
        job_script_prologue=["export OMP_NUM_THREADS=1"],
        # The workers stop by themselves, a few minutes apart, before Slurm ends them.
        worker_extra_args=["--lifetime", "225m", "--lifetime-stagger", "10m"],
    ) as cluster:
        cluster.adapt(maximum_jobs=options.jobs)
        print(f"dashboard: {cluster.dashboard_link}", flush=True)
        command = ["cohort", "run", options.input, "-o", options.out, "--scheduler", cluster.scheduler_address]
        if "--memory-limit" not in more:  # else a study that grows would take the job's memory, and the others with it
            gib = (dask.utils.parse_bytes(options.memory) / 2**30 - 1) / options.cores
            command += ["--memory-limit", f"{gib:.2f}"]
        return subprocess.run([sys.executable, "-m", "sarcomap", *command, *more], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
