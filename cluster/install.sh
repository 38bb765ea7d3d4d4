#!/bin/sh
# Installs the locked environment on a node, once: LOCK=cpu|gpu sh install.sh, beside cpu.txt and gpu.txt.
# EXTRA names packages that a head needs besides, to start nodes. Baked into an image, it has nothing left to do.
set -eu
umask 077
here=$(cd "$(dirname "$0")" && pwd)
environment="$HOME/xlstance-env"
lock="$here/$LOCK.txt"
hash=$(sha256sum "$lock" | cut -c1-16)
if [ "$(cat "$environment/lock" 2>/dev/null)" != "$hash" ]; then
    command -v uv >/dev/null || python3 -m pip install -q --user uv==0.9.7
    uv=$(command -v uv || echo "$HOME/.local/bin/uv")
    rm -rf "$environment"
    "$uv" venv -q --python 3.11 "$environment"
    "$uv" pip install -q --python "$environment/bin/python" -r "$lock" ${EXTRA:-}
    echo "$hash" >"$environment/lock"
fi
# What a node says of itself, and what `ray start` reads: the lock's hash, and that a token is asked for.
echo "xlstance-lock: \"$hash\"" >"$here/labels.yaml"
printf 'export PATH="%s/bin:$PATH" RAY_AUTH_MODE=token OMP_NUM_THREADS=1\n' "$environment" >"$here/environment"
chmod 600 "$HOME/.ray/auth_token"
