#!/bin/sh
# Makes .venv and installs the hash-pinned requirements and this project into it: install.sh runtime|dev
# Uses uv where it is on the PATH, else Python's own venv and pip. Called by the Makefile from the repository's root.
set -eu
set_=$1
say() { printf 'setup: %s\n' "$*" >&2; }

supported='import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 15))'
python=
for name in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
    if command -v "$name" >/dev/null && "$name" -c "$supported" 2>/dev/null; then
        python=$name
        break
    fi
done
if [ -z "$python" ]; then
    say "needs Python 3.11 to 3.14 (Debian, Ubuntu: apt-get install python3), or PYTHON=/path/to/one"
    exit 1
fi
version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')

with_uv() { command -v uv >/dev/null; }
usable() { # a venv whose interpreter still runs, is supported, and can be installed into
    [ -x .venv/bin/python ] && .venv/bin/python -c "$supported" 2>/dev/null &&
        { with_uv || .venv/bin/python -c 'import pip' 2>/dev/null; }
}

need_ensurepip() { # Debian and Ubuntu keep it in a package of its own
    "$python" -c 'import ensurepip, venv' 2>/dev/null && return
    package=python$version-venv
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        say "this Python can't make virtual environments yet; installing $package"
        apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$package" >&2
    else
        say "this Python can't make virtual environments yet; run: sudo apt-get install $package"
        exit 1
    fi
}

if ! usable; then
    say "making .venv with Python $version"
    rm -rf .venv
    if with_uv; then
        uv venv --quiet --python "$(command -v "$python")" .venv
    else
        need_ensurepip
        "$python" -m venv .venv
    fi
fi

if with_uv; then
    install() { uv pip install --quiet --python .venv/bin/python "$@"; }
else
    install() { .venv/bin/python -m pip install --quiet --disable-pip-version-check "$@"; }
fi
say "installing the $set_ requirements"
install --require-hashes --only-binary :all: -r requirements/build.txt -r "requirements/$set_.txt"
install --no-deps --no-build-isolation -e .
touch ".venv/.installed-$set_"
say "done"
