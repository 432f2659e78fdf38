#!/bin/sh
# Data and caches stay out of the repository: no pickles, and nothing over 256 KiB.
set -eu
bad=$(git ls-files -z | xargs -0 -r sh -c 'for f; do
  [ -f "$f" ] || continue
  case $f in *.pkl | *.pickle | *.joblib) echo "  $f: a pickle"; continue ;; esac
  size=$(wc -c <"$f"); [ "$size" -le 262144 ] || echo "  $f: $size bytes"
done' sh)
[ -z "$bad" ] || { printf 'Not to be committed; git rm --cached them:\n%s\n' "$bad" >&2; exit 1; }
