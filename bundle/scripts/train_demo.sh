#!/usr/bin/env bash
# The command that made models/demo_unetr.pt: 240 synthetic participants of varied anatomy and 8 usual ones for
# validation, then two hours and a quarter of training on two cores with bfloat16 (two to four times as long without).
# After an interruption, run it again: existing participants and checkpoints are kept.
#   WORK=/somewhere/outside/git bash bundle/scripts/train_demo.sh [arguments of both phases, e.g. --val_interval 10]
set -euo pipefail
cd "$(dirname "$0")/../.."
PYTHON=${PYTHON:-.venv/bin/python}
WORK=${WORK:-.cache/train-demo}
COUNT=${COUNT:-240}
USUAL=${USUAL:-8}
# By default glibc returns large blocks to the kernel after every step; page faults then took a third of the CPU time.
export MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=16000000000 MALLOC_TOP_PAD_=268435456
"$PYTHON" -m phantom training-set --out "$WORK/data" --n "$COUNT" --seed 100000 --varied
# The last validation_count folders are the validation participants.
"$PYTHON" -m phantom training-set --out "$WORK/data" --n "$USUAL" --seed 200000

train() { # train PHASE CONFIGS [ARGUMENTS...]
    local phase=$1 configs=$2
    shift 2
    "$PYTHON" -W ignore -m monai.bundle run --config_file "[$configs]" --dataset_dir "$WORK/data" \
        --ckpt_dir "$WORK/$phase" --output_dir "$WORK/$phase/log" "$@"
    "$PYTHON" -W ignore -m bundle.scripts.checkpoints "$WORK/$phase" "$WORK/$phase/weights.pt"
}
TRAIN="'bundle/configs/train.yaml','bundle/configs/demo.yaml'"
train coarse "$TRAIN,'bundle/configs/demo_coarse.yaml'" "$@"
train fine "$TRAIN,'bundle/configs/demo_finetune.yaml'" \
    --start_weights "$WORK/coarse/weights.pt" --start_roi "[96,64,96]" "$@"
"$PYTHON" -W ignore -m bundle.scripts.training_curve "$WORK/coarse/log" "$WORK/fine/log" --out "$WORK/curve"
settings=() # settings of the phases besides their configs
while [ $# -ge 2 ]; do
    settings+=(--set "${1#--}=$2")
    shift 2
done
rm -rf -- "$WORK/bundle"
"$PYTHON" -W ignore -m sarcomap bundle release "$WORK/fine/weights.pt" -o "$WORK/bundle" --synthetic \
    --name sarcomap_demo_unetr --version "${VERSION:-made-here}" \
    --training-data "Synthetic anatomy only (SarcoMAP phantoms); no image of a person was seen." \
    --intended-use "Demonstration and software tests. Not for clinical use and not for research on real images." \
    --config bundle/configs/train.yaml --config bundle/configs/demo.yaml --config bundle/configs/demo_finetune.yaml \
    "${settings[@]}"
