#!/usr/bin/env bash
# Copyright (c) mmleuk authors. All rights reserved.
# Sets everything up, draws synthetic blood films, trains an attribute-aware
# detector on them, scores it and draws what it finds:
#
#   bash tools/demo.sh
#
# The settings of the set-up (STACK, TORCH_BUILD, VENV, ...) are environment
# variables: tools/setup/install.py and tools/setup/prepare.sh list them.
# WORK_DIR names the folder for the results, work_dirs/demo by default.

source "$(dirname "${BASH_SOURCE[0]}")/setup/prepare.sh"

CONFIG=configs/attribute_rcnn/attr-faster-rcnn_lite0_fpn_synthetic.py
WORK_DIR=${WORK_DIR:-work_dirs/demo}
mkdir -p "$WORK_DIR"
WORK_DIR=$(cd "$WORK_DIR" && pwd)
PICTURES=$WORK_DIR/pictures
SECONDS=0
# MMEngine looks pkg_resources up, whose warning would open every step.
export PYTHONWARNINGS='ignore:pkg_resources is deprecated:UserWarning'

echo "The demo: about 7 minutes on two cores, its results go to $WORK_DIR."

echo '- synthetic films: under a minute'
python tools/dataset_converters/make_synthetic_films.py --preset demo \
    --out data/synthetic_films

echo '- training: about 5 minutes'
python tools/train.py "$CONFIG" --work-dir "$WORK_DIR"

echo '- testing and drawing: about a minute'
# Pictures of an earlier run would pass for those of this one.
rm -rf "$PICTURES"
python tools/test.py "$CONFIG" "$(cat "$WORK_DIR/last_checkpoint")" \
    --work-dir "$WORK_DIR" --show-dir "$PICTURES" |& tee "$WORK_DIR/test.log"

printf '\nThe demo took %d min %02d s.\n' $((SECONDS / 60)) $((SECONDS % 60))
echo 'Scores on drawn films (they say nothing about real blood):'
# The tables alone: box AP, then the attributes.
grep -E '^[+|]' "$WORK_DIR/test.log"
picture=$(find "$PICTURES" -type f \( -name '*.png' -o -name '*.jpg' \) |
    sort | head -n 1)
if [ -z "$picture" ]; then
    echo "The test has drawn no picture into $PICTURES." >&2
    exit 1
fi
echo "Truth and predictions side by side: $(dirname "$picture")"
echo "Weights, config and logs: $WORK_DIR"
