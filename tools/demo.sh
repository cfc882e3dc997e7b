#!/usr/bin/env bash
# Copyright (c) mmleuk authors. All rights reserved.
# Sets everything up, draws synthetic blood films, trains an attribute-aware
# detector on them, scores it, draws what it finds and reports on the patients:
#
#   bash tools/demo.sh
#
# The settings of the set-up (STACK, TORCH_BUILD, VENV, ...) are environment
# variables: install.py and prepare.sh in tools/dev/setup list them.
# WORK_DIR names the folder for the results, work_dirs/demo by default.

source "$(dirname "${BASH_SOURCE[0]}")/dev/setup/prepare.sh"

CONFIG=configs/attribute_rcnn/attr-faster-rcnn_lite0_fpn_synthetic.py
WORK_DIR=${WORK_DIR:-work_dirs/demo}
mkdir -p "$WORK_DIR"
WORK_DIR=$(cd "$WORK_DIR" && pwd)
PICTURES=$WORK_DIR/pictures
REPORT=$WORK_DIR/report
TEST_IMAGES=data/synthetic_films/H_100X_C1/images/test
SECONDS=0
# MMEngine looks pkg_resources up, whose warning would open every step.
export PYTHONWARNINGS='ignore:pkg_resources is deprecated:UserWarning'

echo "The demo: about 7 minutes on two cores, its results go to $WORK_DIR."

echo '- synthetic films: under a minute'
python tools/dataset_converters/make_synthetic_films.py --preset demo \
    --out data/synthetic_films

films=("$TEST_IMAGES"/*)
echo "  a drawn film: ${films[0]}"

echo '- training: about 5 minutes'
# Each validation draws one of its fields.
python tools/dev/show_progress.py "$WORK_DIR/train.log" "$WORK_DIR" \
    python tools/train.py "$CONFIG" --work-dir "$WORK_DIR" --cfg-options \
    default_hooks.visualization.draw=True \
    default_hooks.visualization.interval=1000

echo '- testing and drawing: about a minute'
# Pictures of an earlier run would pass for those of this one.
rm -rf "$PICTURES"
mkdir "$PICTURES"
python tools/dev/show_progress.py "$WORK_DIR/test.log" "$PICTURES" \
    python tools/test.py "$CONFIG" "$(cat "$WORK_DIR/last_checkpoint")" \
    --work-dir "$WORK_DIR" --show-dir "$PICTURES"

echo '- patient reports: under a minute'
python tools/image_demo.py "$TEST_IMAGES" "$(cat "$WORK_DIR/last_checkpoint")" \
    --cell-iou-thr 1 --out-dir "$WORK_DIR/predictions"
rm -rf "$REPORT"
python tools/report.py "$WORK_DIR/predictions/predictions.json" --out "$REPORT"

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
echo "A report on each patient, to open in a browser: $REPORT/index.html"
echo "Weights, config and logs: $WORK_DIR"
