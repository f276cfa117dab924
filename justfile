# Short names for the repository's scripts.

# Run everything that a change must pass.
ci:
    .ci/run

# Install what the tests need, and run all tests.
test:
    .ci/test

# Build the real images that the tests read (target/images, or $PYCULL_IMAGES).
images *NAMES:
    tests/images/build {{ NAMES }}

# Compare the speed of pycull with the tools that users have today.
bench *PARTS:
    benches/run {{ PARTS }}

# Measure the shape of the code, and check the bounds.
figures:
    tools/figures --check

# Shrink an image that ships with the repository.
demo:
    cargo run --release -- minimize testdata/fedora-shaped.tar --output target/demo.tar

# Fuzz one target for a number of seconds (fuzz/README.md).
fuzz TARGET='splice' SECONDS='600':
    cargo run --manifest-path fuzz/Cargo.toml -- {{ TARGET }} fuzz/corpus/{{ TARGET }}
    cargo +nightly fuzz run -s none --no-trace-compares {{ TARGET }} -- -max_total_time={{ SECONDS }} -timeout=60
