#!/usr/bin/env bash
# A cohort as a Slurm job array: every job takes one part, and all write into one folder. No scheduler of our own.
#
#   sbatch --array=1-200 slurm_array.sh /archive/20201 /scratch/cohort
#   sbatch --array=1-200 slurm_array.sh /archive/20201 /scratch/cohort --keep minimal --archive
#
# Submit the same line again to go on: what is done is not done again. To submit some of its jobs only, say how many parts
# there are: SARCOMAP_SHARDS=200 sbatch --array=7,42 slurm_array.sh ... When all jobs have ended:
#
#   sarcomap cohort status /scratch/cohort
#   sarcomap cohort run /archive/20201 -o /scratch/cohort      # nothing left to do: writes the tables
#
# Set SARCOMAP_ENVIRONMENT to the virtual environment, or SARCOMAP_IMAGE to an Apptainer image (sarcomap.def).
#SBATCH --job-name=sarcomap
#SBATCH --cpus-per-task=4
#SBATCH --mem=12G
#SBATCH --time=04:00:00
#SBATCH --output=sarcomap-%A_%a.log
# Two minutes before the limit Slurm sends SIGTERM: studies in hand end or are dropped, and nothing is lost. B: to this
# script, which SarcoMAP replaces; without it only job steps would get it, and there are none.
#SBATCH --signal=B:TERM@120
set -euo pipefail

if [ $# -lt 2 ]; then
    echo "usage: sbatch --array=1-N $0 INPUT OUT [options of sarcomap cohort run]" >&2
    exit 2
fi
if [ -z "${SLURM_ARRAY_TASK_ID:-}" ]; then
    echo "error: this is no array job. Submit it with --array=1-N." >&2
    exit 2
fi
shards=${SARCOMAP_SHARDS:-${SLURM_ARRAY_TASK_MAX:-0}}
if [ -z "${SARCOMAP_SHARDS:-}" ] && [ "${SLURM_ARRAY_TASK_COUNT:-$shards}" != "$shards" ]; then
    echo "error: the array is not 1-N, so that nobody knows the number of parts. Set SARCOMAP_SHARDS to it." >&2
    exit 2
fi
input=$1 out=$2
shift 2

# Local disks are faster than the share for what a study writes before its results are complete.
export TMPDIR="${SLURM_TMPDIR:-${TMPDIR:-/tmp}}"
# Processes of one thread each do more than one process of many.
export OMP_NUM_THREADS=1

command=(sarcomap)
if [ -n "${SARCOMAP_IMAGE:-}" ]; then
    command=(apptainer exec --bind "$input,$out,$TMPDIR" "$SARCOMAP_IMAGE" sarcomap)
    mkdir -p "$out" # a folder must exist before it can be bound
elif [ -n "${SARCOMAP_ENVIRONMENT:-}" ]; then
    command=("$SARCOMAP_ENVIRONMENT/bin/sarcomap")
fi

# exec: the signal must reach SarcoMAP, not this shell.
exec "${command[@]}" cohort run "$input" -o "$out" \
    --shard "$SLURM_ARRAY_TASK_ID/$shards" \
    --workers "${SLURM_CPUS_PER_TASK:-1}" \
    --walltime 235 "$@"
