use crate::report::model::*;

fn bench_rows(cached: f64, bare: f64) -> Vec<BenchRow> {
    let row = |level: u8, cached, real: f64| BenchRow {
        level,
        cached,
        real_seconds: real,
        user_seconds: real * 0.75,
        sys_seconds: real * 0.125,
        lowest_real_seconds: real * 0.875,
        highest_real_seconds: real * 1.5,
    };
    let with = (0..3).map(|level| row(level, true, cached));
    with.chain((0..3).map(|level| row(level, false, bare)))
        .collect()
}

pub(in crate::report) fn bench() -> BenchReport {
    let image = |platform: &str, trees, imports, warnings| BenchImage {
        platform: platform.to_owned(),
        trees,
        imports,
        warnings,
    };
    let tree = BenchTree {
        path: "usr/lib/python3.9".to_owned(),
        python: "3.9".to_owned(),
        interpreter: "usr/bin/python3.9".to_owned(),
        sandbox: "Landlock (ABI 7), seccomp".to_owned(),
        module: "_pydecimal".to_owned(),
        repeats: 20,
        rounds: 5,
        rows: bench_rows(0.0288, 0.536),
        ratio: 18.61,
    };
    let imports = BenchImports {
        path: tree.path.clone(),
        python: tree.python.clone(),
        modules: vec!["asyncio".to_owned(), "ssl".to_owned()],
        rounds: 5,
        rows: bench_rows(0.25, 1.25),
        ratio: 5.0,
    };
    let warning = "did not measure usr/lib/python3.9: <it> does not start";
    BenchReport {
        schema: "pycull.bench/1",
        reference: "app<&>.tar".to_owned(),
        images: vec![
            image("linux/amd64", vec![tree], vec![imports], vec![]),
            image("linux/arm64", vec![], vec![], vec![warning.to_owned()]),
        ],
    }
}
