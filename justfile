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

# The main job, on an image that ships with the repository.
demo:
    cargo run --release -- minimize testdata/fedora-shaped.tar --output target/demo.tar

# Fuzz the splicing of gzip streams for so many seconds (fuzz/README.md).
fuzz SECONDS='600':
    fuzz/seed fuzz/corpus/splice
    cargo +nightly fuzz run -s none --no-trace-compares splice -- -max_total_time={{ SECONDS }} -timeout=60
