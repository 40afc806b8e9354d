#!/bin/sh
# pyarrow 26.0.1 cannot be imported beside NumPy 1.26.4, and its metadata does not say so (seen on 2026-11-30, Python 3.11).
#
# It needs NumPy 2, but declares no requirement and no conflict: pip puts both into one environment,
# `pip check` finds nothing broken, and the first import fails. So every package that asks for numpy<2 and reaches pyarrow
# through another one gets an environment that does not work from a plain pip install: TransformerLens 2.18.0 does
# (numpy<2; datasets -> pyarrow), and with it all that is built on HookedTransformer. pyarrow 25.0.1 is right in the same place.
# Way out: pip install ... 'pyarrow<26'.
#
# Exit code 0: it is still so. 1: it has changed (good news; docs/peers.md need not pin pyarrow).
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
in_venv() {
    "$folder/venv/bin/python" -m "$@"
}
imported() {
    "$folder/venv/bin/python" -c "import pyarrow; print('works:', pyarrow.array([1, 2]).sum())" 2>&1 | tail -1
}
in_venv pip install --quiet --disable-pip-version-check numpy==1.26.4 pyarrow==26.0.1
declared=$("$folder/venv/bin/python" -c "
from importlib.metadata import requires
print([each for each in requires('pyarrow') or [] if 'extra' not in each])
")
checked=$(in_venv pip check 2>&1 | tail -1)
new=$(imported)
in_venv pip install --quiet --disable-pip-version-check pyarrow==25.0.1
old=$(imported)
echo "NumPy 1.26.4: pyarrow 26.0.1 declares $declared, pip check: $checked"
echo "pyarrow 26.0.1: $new"
echo "pyarrow 25.0.1: $old"
case "$declared/$checked/$new/$old" in
    "[]/No broken requirements found./ImportError"*"/works: 3") exit 0 ;;
esac
exit 1
