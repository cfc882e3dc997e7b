#!/usr/bin/env bash
# Copyright (c) mmleuk authors. All rights reserved.
# Sets everything up, lints, and runs all tests. Arguments go to pytest:
#
#   bash tools/check.sh
#   bash tools/check.sh tests/test_datasets -k region
#
# The settings of the set-up (STACK, TORCH_BUILD, VENV, ...) are environment
# variables: tools/setup/install.py and tools/setup/prepare.sh list them.

source "$(dirname "${BASH_SOURCE[0]}")/setup/prepare.sh"

echo '- lint and format'
ruff check .
ruff format --check .

echo '- tests'
exec python -m pytest "$@"
