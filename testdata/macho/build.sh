#!/bin/sh
# Links the images of this directory again, with clang 19 and ld64.lld 19 (Debian: clang-19, lld-19, llvm-19), which need
# no SDK: libSystem is a stub of three names. Run it in this directory; the same compilers make the same bytes.
set -eu
llvm=${LLVM:-/usr/lib/llvm-19/bin}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat > "$work/libSystem.tbd" <<'TBD'
--- !tapi-tbd
tbd-version: 4
targets: [ x86_64-macos, arm64-macos ]
install-name: '/usr/lib/libSystem.B.dylib'
exports:
  - targets: [ x86_64-macos, arm64-macos ]
    symbols: [ dyld_stub_binder, _malloc, _hash_create ]
...
TBD

compile() { # arch name source
    printf '%s\n' "$3" > "$work/$2.c"
    "$llvm/clang" -target "$1-apple-macos13" -O1 -c -o "$work/$2.$1.o" "$work/$2.c"
}
link() { # arch output arguments…
    arch=$1 output=$2
    shift 2
    "$llvm/ld64.lld" -arch "$arch" -platform_version macos 13.0 13.0 -no_adhoc_codesign -o "$output" "$work/libSystem.tbd" "$@"
}

for arch in x86_64 arm64; do
    compile $arch server 'void *palloc(unsigned long n) { return 0; } int main(void) { return 0; }'
    compile $arch deep 'int deep(void) { return 3; }'
    compile $arch middle 'int deep(void); int middle(void) { return deep(); }'
    compile $arch outer 'int middle(void); int outer(void) { return middle(); }'
    compile $arch module 'void *palloc(unsigned long); void *malloc(unsigned long); int outer(void); int deep(void);
int maybe(void) __attribute__((weak_import));
int run(void) { return outer() + deep() + (palloc(1) == malloc(1)) + (maybe ? maybe() : 0); }'
    compile $arch flat 'void *palloc(unsigned long); void *use(void) { return palloc(1); }'
    compile $arch maybe 'int maybe(void) { return 1; }'
done

build() { # arch fixups directory
    arch=$1 fixups=$2
    mkdir -p "$3/bin" "$3/lib/deep"
    (
        cd "$3"
        link "$arch" bin/postgres "$fixups" -e _main -export_dynamic -rpath @executable_path/../lib/deep "$work/server.$arch.o"
        link "$arch" lib/deep/libdeep.dylib "$fixups" -dylib -install_name @rpath/libdeep.dylib "$work/deep.$arch.o"
        link "$arch" lib/libmiddle.dylib "$fixups" -dylib -rpath @loader_path/deep -install_name @rpath/libmiddle.dylib "$work/middle.$arch.o" \
            -reexport_library lib/deep/libdeep.dylib
        link "$arch" lib/libouter.dylib "$fixups" -dylib -install_name @loader_path/libouter.dylib "$work/outer.$arch.o" \
            lib/libmiddle.dylib
        link "$arch" "$work/libmaybe.dylib" "$fixups" -dylib -install_name @rpath/libmaybe.dylib "$work/maybe.$arch.o"
        link "$arch" lib/module.so "$fixups" -bundle -bundle_loader bin/postgres -rpath @loader_path "$work/module.$arch.o" \
            lib/libouter.dylib lib/libmiddle.dylib -weak_library "$work/libmaybe.dylib"
        link "$arch" lib/flat.so "$fixups" -bundle -undefined dynamic_lookup "$work/flat.$arch.o"
    )
}
build x86_64 -no_fixup_chains opcodes
build arm64 -fixup_chains chained
build x86_64 -fixup_chains "$work/second"
mkdir -p fat/bin fat/lib/deep
for file in bin/postgres lib/deep/libdeep.dylib lib/libmiddle.dylib lib/libouter.dylib lib/module.so; do
    "$llvm/llvm-lipo" -create "$work/second/$file" "chained/$file" -output "fat/$file"
done
