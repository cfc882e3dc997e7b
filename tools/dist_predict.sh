#!/usr/bin/env bash
# Copyright (c) mmleuk authors. All rights reserved.
#
# Predict on several GPUs:
#   bash tools/dist_predict.sh INPUTS CONFIG|WEIGHTS GPUS \
#       [arguments of tools/image_demo.py]
# On several machines, run it on each with NNODES, NODE_RANK (0, 1, ...) and
# MASTER_ADDR set; PORT moves the port.
set -euo pipefail

if [ $# -lt 3 ]; then
    echo "usage: bash $0 INPUTS CONFIG|WEIGHTS GPUS" \
        "[arguments of tools/image_demo.py]" >&2
    exit 2
fi
inputs=$1
model=$2
gpus=$3
shift 3

exec torchrun \
    --nnodes="${NNODES:-1}" \
    --node_rank="${NODE_RANK:-0}" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" \
    --master_port="${PORT:-29500}" \
    --nproc_per_node="$gpus" \
    "$(dirname "${BASH_SOURCE[0]}")/image_demo.py" \
    "$inputs" "$model" --launcher pytorch "$@"
