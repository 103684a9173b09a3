#!/usr/bin/env bash
# The one command that made models/demo_unetr.pt: 300 synthetic participants, then hours of training.
# Run it again after an interruption: participants and checkpoints that exist are kept.
#   WORK=/somewhere/outside/git bash bundle/scripts/train_demo.sh [--max_epochs 60 ...]
set -euo pipefail
cd "$(dirname "$0")/../.."
PYTHON=${PYTHON:-.venv/bin/python}
WORK=${WORK:-.cache/train-demo}
COUNT=${COUNT:-300}
# glibc hands large blocks back to the kernel after every step; keeping them makes a step twice as fast.
export MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=16000000000 MALLOC_TOP_PAD_=268435456
"$PYTHON" -m phantom training-set --out "$WORK/data" --n "$COUNT" --seed 100000
exec "$PYTHON" -W ignore -m monai.bundle run \
    --config_file "['bundle/configs/train.yaml','bundle/configs/demo.yaml']" \
    --dataset_dir "$WORK/data" --ckpt_dir "$WORK/checkpoints" --output_dir "$WORK/log" "$@"
