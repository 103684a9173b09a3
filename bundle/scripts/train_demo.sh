#!/usr/bin/env bash
# The first phases of models/demo_unetr.pt (docs/README.md has those after them): 240 synthetic participants of varied
# anatomy and 8 usual ones for validation, then many hours of training on two cores with bfloat16 (two and a quarter with
# 8 features, a third of today's; two to four times as long without bfloat16).
# After an interruption, run it again: existing participants and checkpoints are kept.
#   WORK=/somewhere/outside/git bash bundle/scripts/train_demo.sh [arguments of all phases, e.g. --val_interval 10]
# With PAINTED, a folder of pairs that `sarcomap phantom paint` made of label maps of people (docs/people.md), three more
# phases follow: on these pairs and the first MIXED phantoms, validated on the usual phantoms. SOURCES names the origin
# of the label maps for the model card. Nothing is downloaded.
#   PAINTED=pairs SOURCES="label maps of four people (who made them, doi)" bash bundle/scripts/train_demo.sh
set -euo pipefail
[ -z "${PAINTED:-}" ] || PAINTED=$(realpath -e -- "$PAINTED")
cd "$(dirname "$0")/../.."
PYTHON=${PYTHON:-.venv/bin/python}
WORK=${WORK:-.cache/train-demo}
COUNT=${COUNT:-240}
USUAL=${USUAL:-8}
MIXED=${MIXED:-56}
COARSE_ROI=${COARSE_ROI:-[96,64,96]} # window of the coarse phase; another one if the arguments set --roi
[ -z "${PAINTED:-}" ] || : "${SOURCES:?where the painted label maps come from; the model card of the weights repeats it}"
# By default glibc returns large blocks to the kernel after every step; page faults then took a third of the CPU time.
export MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=16000000000 MALLOC_TOP_PAD_=268435456
"$PYTHON" -m phantom training-set --out "$WORK/data" --n "$COUNT" --seed 100000 --varied
# The last validation_count folders are the validation participants.
"$PYTHON" -m phantom training-set --out "$WORK/data" --n "$USUAL" --seed 200000

DATA=$WORK/data
train() { # train PHASE CONFIGS [ARGUMENTS...]
    local phase=$1 configs=$2
    shift 2
    "$PYTHON" -W ignore -m monai.bundle run --config_file "[$configs]" --dataset_dir "$DATA" \
        --ckpt_dir "$WORK/$phase" --output_dir "$WORK/$phase/log" "$@"
    "$PYTHON" -W ignore -m bundle.scripts.checkpoints "$WORK/$phase" "$WORK/$phase/weights.pt"
}
TRAIN="'bundle/configs/train.yaml','bundle/configs/demo.yaml'"
train coarse "$TRAIN,'bundle/configs/demo_coarse.yaml'" "$@"
train fine "$TRAIN,'bundle/configs/demo_finetune.yaml'" \
    --start_weights "$WORK/coarse/weights.pt" --start_roi "$COARSE_ROI" "$@"
phases=(coarse fine)
configs=(train demo demo_finetune)
data="Synthetic anatomy only (SarcoMAP phantoms); no image of a person was seen."
lack=()
if [ -n "${PAINTED:-}" ]; then
    DATA=$WORK/people-data # the last validation_count folders by name are those of usual-*
    rm -rf -- "$DATA"
    mkdir -p "$DATA"
    varied=("$WORK"/data/1*)
    for folder in "${varied[@]:0:MIXED}"; do ln -s "$(realpath "$folder")" "$DATA"; done
    for folder in "$PAINTED"/*/; do ln -s "$(realpath "$folder")" "$DATA/painted-$(basename "$folder")"; done
    for folder in "$WORK"/data/2*; do ln -s "$(realpath "$folder")" "$DATA/usual-$(basename "$folder")"; done
    PEOPLE="$TRAIN,'bundle/configs/demo_finetune.yaml','bundle/configs/demo_people.yaml'"
    train people "$PEOPLE" --start_weights "$WORK/fine/weights.pt" "$@" --start_roi @roi
    train people-end "$PEOPLE,'bundle/configs/demo_people_end.yaml'" \
        --start_weights "$WORK/people/weights.pt" "$@" --start_roi @roi
    LONG="'bundle/configs/demo_people_end.yaml','bundle/configs/overrides/muon.yaml','bundle/configs/demo_people_long.yaml'"
    train people-long "$PEOPLE,$LONG" \
        --start_weights "$WORK/people-end/weights.pt" "$@" --start_roi @roi
    phases+=(people people-end people-long)
    configs+=(demo_people demo_people_end overrides/muon demo_people_long)
    data="Synthetic images of synthetic anatomy (SarcoMAP phantoms) and of real anatomy: $SOURCES."
    lack=(--can-lack fat)
fi
logs=("${phases[@]/#/$WORK/}")
"$PYTHON" -W ignore -m bundle.scripts.training_curve "${logs[@]/%//log}" --out "$WORK/curve"
settings=() # settings of the phases besides their configs
while [ $# -ge 2 ]; do
    settings+=(--set "${1#--}=$2")
    shift 2
done
for config in "${configs[@]}"; do settings+=(--config "bundle/configs/$config.yaml"); done
rm -rf -- "$WORK/bundle"
"$PYTHON" -W ignore -m sarcomap bundle release "$WORK/${phases[-1]}/weights.pt" -o "$WORK/bundle" --synthetic \
    --name sarcomap_demo_unetr --version "${VERSION:-made-here}" --training-data "$data" "${lack[@]}" --training-signal 220 204 236 \
    --intended-use "Demonstration and software tests. Not for clinical use and not for research on real images." \
    "${settings[@]}"
