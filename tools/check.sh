#!/usr/bin/env bash
# Copyright (c) mmleuk authors. All rights reserved.
# Sets everything up, lints, and runs all tests. Arguments go to pytest:
#
#   bash tools/check.sh
#   bash tools/check.sh tests/test_datasets -k region
#
# With `--stack onedl` in front, on the maintained fork of MMDetection, in an
# environment of its own:
#
#   bash tools/check.sh --stack onedl tests/test_models
#
# The settings of the set-up (STACK, TORCH_BUILD, VENV, ...) are environment
# variables: install.py and prepare.sh in tools/dev/setup list them.

if [ "${1:-}" = --stack ]; then
    if [ $# -lt 2 ]; then
        echo "usage: bash $0 --stack openmmlab|onedl [arguments of pytest]" >&2
        exit 2
    fi
    export STACK=$2
    shift 2
fi
source "$(dirname "${BASH_SOURCE[0]}")/dev/setup/prepare.sh"

echo '- lint and format'
ruff check .
ruff format --check .

echo '- tests'
exec python -m pytest "$@"
