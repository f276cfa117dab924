//! Writes the seeds of a target to a directory: `seed TARGET DIRECTORY`.

use std::path::PathBuf;

fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(name), Some(directory)) = (arguments.next(), arguments.next().map(PathBuf::from))
    else {
        panic!("usage: seed TARGET DIRECTORY");
    };
    let target = pycull_fuzz::targets::TARGETS
        .iter()
        .find(|target| name == target.0);
    let Some((_, _, seeds)) = target else {
        panic!("there is no target {}", name.display());
    };
    std::fs::create_dir_all(&directory)?;
    for (number, seed) in seeds().iter().enumerate() {
        std::fs::write(directory.join(format!("seed-{number:03}")), seed)?;
    }
    Ok(())
}
