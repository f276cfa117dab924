# Short names for what the repository's scripts do.

# What a change must pass.
ci:
    .ci/run

# Install what the tests need, and run them all.
test:
    .ci/test

# Build the real images that the tests read (target/images, or $PYCULL_IMAGES).
images *NAMES:
    tests/images/build {{ NAMES }}

# Measure pycull beside the tools that users have today.
bench *PARTS:
    benches/run {{ PARTS }}

# Figures of the code's shape, and whether they are within their bounds.
figures:
    tools/figures --check

# The main job, on an image that ships with the repository.
demo:
    cargo run --release -- minimize testdata/fedora-shaped.tar --output target/demo.tar

# Fuzz one target for so many seconds (fuzz/README.md).
fuzz TARGET='splice' SECONDS='600':
    cargo run --manifest-path fuzz/Cargo.toml -- {{ TARGET }} fuzz/corpus/{{ TARGET }}
    cargo +nightly fuzz run -s none --no-trace-compares {{ TARGET }} -- -max_total_time={{ SECONDS }} -timeout=60
