#!/usr/bin/env bash
# Copyright (c) mmleuk authors. All rights reserved.
# Sets everything up, lints, checks types, and runs all tests. Arguments go to
# pytest:
#
#   bash tools/check.sh
#   bash tools/check.sh tests/test_datasets -k region
#
# Options stand in front:
#
#   --stack NAME  openmmlab or onedl, the maintained fork of MMDetection, in an
#                 environment of its own
#   --cuda        mmcv with its CUDA ops, in an environment of its own, and
#                 the tests that need a CUDA device, without lint and types
#   --wheels DIR  no network: all packages come from this folder, which
#                 tools/dev/setup/download_wheels.py fills
#
# The settings of the set-up (STACK, TORCH_BUILD, VENV, ...) are environment
# variables: install.py and prepare.sh in tools/dev/setup list them.

usage() {
    echo "usage: bash $0 [--stack openmmlab|onedl] [--cuda] [--wheels DIR] \
[arguments of pytest]" >&2
    exit 2
}

while true; do
    case "${1:-}" in
    --stack)
        [ $# -ge 2 ] || usage
        export STACK=$2
        shift 2
        ;;
    --cuda)
        export FORCE_CUDA=1 TORCH_BUILD=${TORCH_BUILD:-pypi}
        shift
        ;;
    --wheels)
        [ $# -ge 2 ] || usage
        if [ ! -d "$2" ]; then
            echo "There is no folder $2 with wheels: fill it on a computer \
with network by tools/dev/setup/download_wheels.py." >&2
            exit 2
        fi
        PIP_FIND_LINKS=$(cd "$2" && pwd)
        export PIP_FIND_LINKS PIP_NO_INDEX=1
        shift 2
        ;;
    *) break ;;
    esac
done
source "$(dirname "${BASH_SOURCE[0]}")/dev/setup/prepare.sh"

if [ "${FORCE_CUDA:-0}" = 1 ]; then
    # Without a device all of these tests would be skipped.
    python -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' ||
        stop "mmcv has its CUDA ops, but torch sees no CUDA device to run \
them on: see nvidia-smi."
    exec python -m pytest -m cuda "$@"
fi

echo '- lint, format and types'
ruff check .
ruff format --check .
mypy

echo '- tests'
if [ $# = 0 ]; then
    # A process a core; a process does all tests of a file, which share what
    # they train.
    export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
    set -- -n auto --maxprocesses 8 --dist loadfile
fi
exec python -m pytest "$@"
