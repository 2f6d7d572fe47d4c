#!/usr/bin/env bash
# The same job by framesql and by hand, in turns: run.sh [turns [clip]] prints frames per CPU second of both and their ratio.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/framesql
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$cache/target}
cd "$root"

venv=$cache/peer
if [ ! -e "$venv/ready" ]; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet -r benches/peer/requirements.txt
    touch "$venv/ready"
fi
"$venv/bin/python" benches/peer/make_onnx.py "$cache/yunet.onnx"
cargo build --release --bin framesql
exec "$venv/bin/python" benches/peer/turns.py "$CARGO_TARGET_DIR/release/framesql" "$cache/yunet.onnx" "${@:1}"
