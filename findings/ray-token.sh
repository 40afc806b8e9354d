#!/bin/sh
# Ray 2.60.0 with the address of a cluster does not send the token that the cluster asks for (seen on 2026-12-01, Linux).
#
# Where ~/.ray/auth_token exists, and any ray.init() that starts a cluster writes one, `ray start --head` asks for that token. In the
# same home ray.init(address="auto") sends it; ray.init(address="HOST:PORT") does not, unless RAY_AUTH_MODE is token. It fails after
# 20 seconds with "Failed to connect to Ray cluster", which names no token.
#
# Exit code 0: it is still so. 1: it has changed (good news; the hint of sessions/sweeps/on_ray/actors.py may go).
set -eu
folder=$(mktemp -d)
head=
trap '[ -z "$head" ] || kill "$head" 2>/dev/null || true; wait; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check ray==2.60.0
export HOME="$folder" PATH="$folder/venv/bin:$PATH" RAY_TMPDIR="$folder"
unset RAY_AUTH_MODE RAY_AUTH_TOKEN RAY_AUTH_TOKEN_PATH RAY_ADDRESS
cd "$folder"
cat > connect.py <<'PYTHON'
import sys

import ray

try:
    ray.init(address=sys.argv[1], logging_level="ERROR", log_to_driver=False)
    print("connected")
except ConnectionError as error:
    print("names the token" if "token" in str(error).lower() else "refused")
PYTHON
ray get-auth-token --generate > /dev/null 2>&1
ray start --head --port=6398 --num-cpus=1 --include-dashboard=false --block > head.log 2>&1 &
head=$!
sleep 10
address=$(sed -n "s/.*ray start --address='\([^']*\)'.*/\1/p" head.log | head -1)
auto=$(timeout 90 python connect.py auto 2>/dev/null | tail -1)
by_address=$(timeout 90 python connect.py "$address" 2>/dev/null | tail -1)
told=$(RAY_AUTH_MODE=token timeout 90 python connect.py "$address" 2>/dev/null | tail -1)
echo "Ray 2.60.0: by auto $auto, by the address $address $by_address, by it with RAY_AUTH_MODE=token $told"
[ "$auto" = connected ] && [ "$by_address" = refused ] && [ "$told" = connected ] || exit 1
