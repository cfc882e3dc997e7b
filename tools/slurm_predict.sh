#!/usr/bin/env bash
# Copyright (c) mmleuk authors. All rights reserved.
#
# Predict on a cluster that Slurm manages:
#   bash tools/slurm_predict.sh PARTITION JOB_NAME INPUTS CONFIG|WEIGHTS \
#       [arguments of tools/image_demo.py]
# GPUS (8), GPUS_PER_NODE (8) and CPUS_PER_TASK (5) are environment variables;
# SRUN_ARGS is handed to srun, PORT moves the port.
set -euo pipefail

if [ $# -lt 4 ]; then
    echo "usage: bash $0 PARTITION JOB_NAME INPUTS CONFIG|WEIGHTS" \
        "[arguments of tools/image_demo.py]" >&2
    exit 2
fi
partition=$1
job_name=$2
inputs=$3
model=$4
shift 4
gpus=${GPUS:-8}
gpus_per_node=${GPUS_PER_NODE:-8}
if [ "$gpus" -lt "$gpus_per_node" ]; then
    gpus_per_node=$gpus
fi
# Several words, or none.
read -r -a srun_args <<<"${SRUN_ARGS:-}"

MASTER_PORT=${PORT:-29500} exec srun \
    --partition="$partition" \
    --job-name="$job_name" \
    --gres="gpu:$gpus_per_node" \
    --ntasks="$gpus" \
    --ntasks-per-node="$gpus_per_node" \
    --cpus-per-task="${CPUS_PER_TASK:-5}" \
    --kill-on-bad-exit=1 \
    "${srun_args[@]}" \
    python -u "$(dirname "${BASH_SOURCE[0]}")/image_demo.py" \
    "$inputs" "$model" --launcher slurm "$@"
