#!/bin/bash
# All tests of the workspace. Installs the Debian packages that they need when run as root; otherwise says which
# are missing.
set -euo pipefail
cd "$(dirname "$0")"

# A C compiler, GNU ld and two readelfs for the tests that ask the real loader; clang, lld and LLVM's readers for the
# link arguments and binaries of macOS.
packages=(gcc libc6-dev binutils elfutils clang lld llvm)

if ! command -v cargo >/dev/null; then
    echo "test.sh: cargo is not here; install Rust 1.94 or later from https://rustup.rs" >&2
    exit 2
fi
source .ci/packages
need_packages "${packages[@]}"
cargo test --workspace "$@"
