# Copyright (c) mmleuk authors. All rights reserved.
# Sourced by tools/check.sh and tools/demo.sh: goes to the root of the clone,
# makes an environment if there is none, fills it (install.py beside this has
# the settings for that) and puts it first on PATH.
#
#   PYTHON  the Python that a new environment is made with
#   VENV    the environment, .venv by default, with -onedl at the end with
#           STACK=onedl (the stacks share their import names) and -cuda with
#           FORCE_CUDA=1. One of your own is taken too: nothing that it holds
#           is replaced

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../../.."

stop() {
    printf 'Set-up failed. %s\n' "$1" >&2
    exit 1
}

# Prints the first Python that torch has builds for, as install.py lists them.
find_python() {
    local candidate
    for candidate in ${PYTHON:-python3 python3.14 python3.13 python3.12 \
        python3.11 python3.10}; do
        if "$candidate" -c 'import sys
sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 14))' \
            >/dev/null 2>&1; then
            command -v "$candidate"
            return
        fi
    done
    return 1
}

make_environment() {
    local python
    python=$(find_python) || stop "mmleuk needs Python >= 3.10 and <= 3.14, and \
${PYTHON:-python3} is $("${PYTHON:-python3}" --version 2>/dev/null ||
        echo 'not there'): install one, or name it as in PYTHON=python3.11 \
bash $0."
    "$python" -c 'import ensurepip, venv' 2>/dev/null || stop "$python can \
not make an environment, because its module venv is missing: install it \
(Debian and Ubuntu: \"apt install python3-venv\")."
    echo "Making the environment $VENV with $("$python" --version)."
    "$python" -m venv "$VENV"
    # Marks it as ours, so that what is in it may be replaced.
    echo '{"made_here": true}' >"$VENV/mmleuk-setup.json"
}

if [ -z "${VENV:-}" ]; then
    VENV=$PWD/.venv
    if [ "${STACK:-openmmlab}" != openmmlab ]; then
        VENV=$VENV-$STACK
    fi
    if [ "${FORCE_CUDA:-0}" = 1 ]; then
        VENV=$VENV-cuda
    fi
    if [ -n "${VIRTUAL_ENV:-}" ] && [ "$VIRTUAL_ENV" != "$VENV" ]; then
        echo "The active environment is left alone; to use it, set \
VENV=$VIRTUAL_ENV."
    fi
fi
if [ ! -e "$VENV" ]; then
    make_environment
elif [ ! -x "$VENV/bin/python" ]; then
    stop "$VENV is no environment (it has no bin/python): remove it, or name \
another in VENV."
fi
VENV=$(cd "$VENV" && pwd)
"$VENV/bin/python" tools/dev/setup/install.py
export VIRTUAL_ENV=$VENV PATH=$VENV/bin:$PATH
unset PYTHONHOME
