#!/usr/bin/env bash
# Gradescope runs this once, as root, when it builds the image: an environment of its own beside this file.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
export DEBIAN_FRONTEND=noninteractive

usable() { "$1" -c 'import ensurepip, sys; assert sys.version_info >= (3, 11)' 2>/dev/null; }
if ! usable python3; then
  apt-get update -qq
  apt-get install -y -qq python3-venv
  usable python3 || apt-get install -y -qq python3.11-venv # python3 is 3.10 on Ubuntu 22.04
fi
python=python3
usable python3 || python=python3.11

"$python" -m venv "$here/venv"
"$here/venv/bin/python" -m pip install --quiet --no-cache-dir --disable-pip-version-check \
  --constraint "$here/constraints.txt" "$here/package"
# matplotlib makes a list of fonts the first time: here, and not again for each upload.
"$here/venv/bin/python" -c 'import matplotlib.font_manager'
