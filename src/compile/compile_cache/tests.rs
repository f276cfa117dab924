use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::thread;

use tempfile::TempDir;

use super::*;
use crate::pyc::Level;

const DAY: Duration = Duration::from_secs(24 * 3600);

fn open(directory: &TempDir, largest_bytes: u64) -> CompileCache {
    CompileCache::open(directory.path().to_owned(), largest_bytes).unwrap()
}

fn key(number: usize) -> Key {
    Key::new(&[1; 32], true, format!("/{number}.py").as_bytes(), b"x")
}

fn answers(level: Level, body: &[u8]) -> Answers {
    let mut answers = Answers::default();
    answers.set(level, Answer::Body(body.into()));
    answers
}

fn path(directory: &TempDir, key: &Key) -> PathBuf {
    directory.path().join(key.place())
}

fn modified(path: &Path) -> SystemTime {
    fs::metadata(path).unwrap().modified().unwrap()
}

fn set_modified(path: &Path, time: SystemTime) {
    File::open(path).unwrap().set_modified(time).unwrap();
}

fn files(directory: &TempDir) -> Vec<String> {
    let mut names = Vec::new();
    for shard in fs::read_dir(directory.path()).unwrap() {
        for file in fs::read_dir(shard.unwrap().path()).unwrap() {
            names.push(file.unwrap().file_name().into_string().unwrap());
        }
    }
    names
}

#[test]
fn what_is_put_is_there_for_another_handle() {
    let directory = tempfile::tempdir().unwrap();
    let given = answers(Level::One, b"body");
    let cache = open(&directory, u64::MAX);
    assert!(cache.get(&key(0)).is_empty());
    cache.put(&key(0), &given);
    assert_eq!(cache.get(&key(0)), given);
    cache.finish().unwrap();
    let cache = open(&directory, u64::MAX);
    assert_eq!(cache.get(&key(0)), given);
    assert!(cache.get(&key(1)).is_empty());
    let mode = fs::metadata(path(&directory, &key(0))).unwrap().mode();
    assert_eq!(mode & 0o7777, 0o600);
}

#[test]
fn levels_come_together_in_one_file() {
    let directory = tempfile::tempdir().unwrap();
    let cache = open(&directory, u64::MAX);
    for level in Level::ALL {
        cache.put(&key(0), &answers(level, b"old"));
    }
    cache.put(&key(0), &answers(Level::Two, b"new"));
    let known = cache.get(&key(0));
    assert_eq!(
        known.get(Level::Zero),
        Some(&Answer::Body((*b"old").into()))
    );
    assert_eq!(known.get(Level::One), Some(&Answer::Body((*b"old").into())));
    assert_eq!(known.get(Level::Two), Some(&Answer::Body((*b"new").into())));
    assert_eq!(files(&directory).len(), 1);
}

#[test]
fn what_is_known_is_not_written_again() {
    let directory = tempfile::tempdir().unwrap();
    let cache = open(&directory, u64::MAX);
    cache.put(&key(0), &answers(Level::Zero, b"body"));
    let inode = || fs::metadata(path(&directory, &key(0))).unwrap().ino();
    let before = inode();
    cache.put(&key(0), &answers(Level::Zero, b"body"));
    assert_eq!(inode(), before);
    cache.put(&key(0), &answers(Level::One, b"body"));
    assert_ne!(inode(), before);
}

/// Checks that what `spoil` does to an entry's path makes a miss, leaves nothing at the path, and can be stored again.
fn assert_miss_after(what: &str, spoil: impl FnOnce(&Path)) {
    let directory = tempfile::tempdir().unwrap();
    let cache = open(&directory, u64::MAX);
    cache.put(&key(0), &answers(Level::Zero, b"body"));
    let path = path(&directory, &key(0));
    spoil(&path);
    assert!(cache.get(&key(0)).is_empty(), "{what}");
    assert!(fs::symlink_metadata(&path).is_err(), "{what}");
    cache.put(&key(0), &answers(Level::Zero, b"body"));
    assert!(!cache.get(&key(0)).is_empty(), "{what}");
    cache.finish().unwrap();
}

#[test]
fn a_spoilt_entry_is_a_miss_and_goes() {
    assert_miss_after("a changed byte", |path| {
        let mut entry = fs::read(path).unwrap();
        *entry.last_mut().unwrap() ^= 1;
        fs::write(path, entry).unwrap();
    });
    assert_miss_after("truncated", |path| {
        let entry = fs::read(path).unwrap();
        fs::write(path, &entry[..entry.len() - 1]).unwrap();
    });
    assert_miss_after("empty", |path| fs::write(path, "").unwrap());
    assert_miss_after("larger than memory", |path| {
        fs::File::create(path).unwrap().set_len(1 << 40).unwrap();
    });
    assert_miss_after("a symlink to itself as it was", |path| {
        let moved = path.with_extension("moved");
        fs::rename(path, &moved).unwrap();
        symlink(moved, path).unwrap();
    });
    assert_miss_after("a FIFO", |path| {
        fs::remove_file(path).unwrap();
        let mode = Mode::RUSR | Mode::WUSR;
        rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    });
}

#[test]
fn another_keys_entry_under_this_name_is_a_miss_and_goes() {
    let directory = tempfile::tempdir().unwrap();
    let cache = open(&directory, u64::MAX);
    cache.put(&key(0), &answers(Level::Zero, b"zero"));
    cache.put(&key(1), &answers(Level::Zero, b"one"));
    fs::copy(path(&directory, &key(1)), path(&directory, &key(0))).unwrap();
    assert!(cache.get(&key(0)).is_empty());
    assert!(!path(&directory, &key(0)).exists());
    assert!(!cache.get(&key(1)).is_empty());
}

#[test]
fn another_users_entry_is_a_miss_and_goes() {
    let directory = tempfile::tempdir().unwrap();
    let mut cache = open(&directory, u64::MAX);
    cache.put(&key(0), &answers(Level::Zero, b"body"));
    cache.user += 1;
    assert!(cache.get(&key(0)).is_empty());
    assert!(!path(&directory, &key(0)).exists());
}

#[test]
fn threads_of_two_handles_see_whole_entries_or_none() {
    let directory = tempfile::tempdir().unwrap();
    let caches = [open(&directory, 20_000), open(&directory, 20_000)];
    let body =
        |number: usize, level: Level| vec![(number * 3 + level.index()) as u8; 3000 + number];
    let work = |cache: &CompileCache, start: usize| {
        for step in 0..300 {
            let number = (start + step) % 20;
            let level = Level::ALL[step % 3];
            cache.put(&key(number), &answers(level, &body(number, level)));
            let known = cache.get(&key(number));
            for level in Level::ALL {
                if let Some(answer) = known.get(level) {
                    assert_eq!(answer, &Answer::Body(body(number, level).into()));
                }
            }
            if step % 50 == start {
                let now = SystemTime::now();
                trim::trim(cache.directory.as_fd(), 20_000, now).unwrap();
            }
        }
    };
    thread::scope(|scope| {
        for (start, cache) in [0, 7, 13, 19].into_iter().zip(caches.iter().cycle()) {
            scope.spawn(move || work(cache, start));
        }
    });
    for cache in caches {
        cache.finish().unwrap();
    }
    assert!(files(&directory).iter().all(|name| name.len() == 62));
}

#[test]
fn an_entry_that_is_written_anew_is_whole_all_the_while() {
    let directory = tempfile::tempdir().unwrap();
    let (writer, reader) = (open(&directory, u64::MAX), open(&directory, u64::MAX));
    let put = |byte: u8| writer.put(&key(0), &answers(Level::Zero, &[byte; 100_000]));
    put(0);
    thread::scope(|scope| {
        let writing = scope.spawn(|| (1..200).for_each(put));
        while !writing.is_finished() {
            assert!(!reader.get(&key(0)).is_empty());
        }
    });
    writer.finish().unwrap();
}

#[test]
fn processes_that_trim_at_once_do_not_mind_each_other() {
    for _ in 0..5 {
        let directory = tempfile::tempdir().unwrap();
        let cache = open(&directory, 0);
        (0..100).for_each(|number| cache.put(&key(number), &answers(Level::Zero, b"body")));
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    trim::trim(cache.directory.as_fd(), 0, SystemTime::now()).unwrap();
                });
            }
        });
        assert!(files(&directory).is_empty());
    }
}

/// Stores entries 0, 1, … of `body_bytes` each. They were used some days ago, one after another in that order.
fn put_in_order(directory: &TempDir, cache: &CompileCache, count: usize, body_bytes: usize) {
    for number in 0..count {
        cache.put(&key(number), &answers(Level::Zero, &vec![0; body_bytes]));
        let days = u32::try_from(count - number).unwrap();
        set_modified(
            &path(directory, &key(number)),
            SystemTime::now() - DAY * (days + 1),
        );
    }
}

fn there(directory: &TempDir, count: usize) -> Vec<usize> {
    (0..count)
        .filter(|number| path(directory, &key(*number)).exists())
        .collect()
}

#[test]
fn trimming_keeps_what_was_used_last_within_the_bound() {
    let directory = tempfile::tempdir().unwrap();
    let cache = open(&directory, 3 * 1083);
    put_in_order(&directory, &cache, 10, 1000);
    assert!(!cache.get(&key(2)).is_empty());
    cache.finish().unwrap();
    assert_eq!(there(&directory, 10), [2, 8, 9]);
}

#[test]
fn a_cache_at_its_bound_is_not_trimmed_and_one_byte_above_is() {
    for (largest_bytes, left) in [(4 * 1083, 4), (4 * 1083 - 1, 3), (0, 0)] {
        let directory = tempfile::tempdir().unwrap();
        let cache = open(&directory, largest_bytes);
        put_in_order(&directory, &cache, 4, 1000);
        cache.finish().unwrap();
        assert_eq!(files(&directory).len(), left);
    }
}

#[test]
fn a_run_that_put_nothing_does_not_trim() {
    let directory = tempfile::tempdir().unwrap();
    let cache = open(&directory, u64::MAX);
    put_in_order(&directory, &cache, 3, 1000);
    cache.finish().unwrap();
    let cache = open(&directory, 0);
    cache.put(&key(1), &answers(Level::Zero, &[0; 1000]));
    cache.finish().unwrap();
    assert_eq!(there(&directory, 3), [0, 1, 2]);
}

#[test]
fn trimming_takes_leftovers_and_leaves_what_is_not_the_caches() {
    let directory = tempfile::tempdir().unwrap();
    let cache = open(&directory, 0);
    cache.put(&key(0), &answers(Level::Zero, b"body"));
    let shard = path(&directory, &key(0)).parent().unwrap().to_owned();
    let old = SystemTime::now() - Duration::from_secs(3700);
    for (name, time) in [
        ("temporary-1-1", old),
        ("temporary-2-2", SystemTime::now()),
        ("notes.txt", old),
    ] {
        fs::write(shard.join(name), "text").unwrap();
        set_modified(&shard.join(name), time);
    }
    fs::create_dir(directory.path().join("photos")).unwrap();
    fs::write(directory.path().join("photos/cat"), "text").unwrap();
    cache.finish().unwrap();
    let mut left = files(&directory);
    left.sort();
    assert_eq!(left, ["cat", "notes.txt", "temporary-2-2"]);
}

#[test]
fn a_hit_renews_the_time_of_use_only_after_a_day() {
    let directory = tempfile::tempdir().unwrap();
    let cache = open(&directory, u64::MAX);
    cache.put(&key(0), &answers(Level::Zero, b"body"));
    let path = path(&directory, &key(0));
    let now = SystemTime::now();
    for (time, renews) in [
        (now - DAY / 2, false),
        (now - DAY * 2, true),
        (now + DAY / 2, false),
        (now + DAY * 2, true),
    ] {
        set_modified(&path, time);
        let before = modified(&path);
        assert!(!cache.get(&key(0)).is_empty());
        assert_eq!(modified(&path) != before, renews, "{time:?}");
    }
    let off = SystemTime::now().duration_since(modified(&path)).unwrap();
    assert!(off < DAY, "{off:?}");
}

#[test]
fn what_cannot_be_written_is_told_once_and_fails_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let cache = open(&directory, 0);
    cache.put(&key(1), &answers(Level::Zero, b"body"));
    // Root may write anywhere, but not to a path below a file.
    let shard = path(&directory, &key(0)).parent().unwrap().to_owned();
    fs::write(&shard, "").unwrap();
    cache.put(&key(0), &answers(Level::Zero, b"body"));
    assert!(cache.get(&key(0)).is_empty());
    assert!(!cache.get(&key(1)).is_empty());
    cache.put(&key(2), &answers(Level::Zero, b"body"));
    assert!(!path(&directory, &key(2)).exists());
    let failure = cache.finish().unwrap_err();
    assert!(matches!(failure, CacheError::Read { .. }), "{failure}");
    // The cache is trimmed anyway: its content may be what fills the disk.
    assert!(!path(&directory, &key(1)).exists());
}

#[test]
fn a_failed_write_is_told_leaves_no_file_and_is_not_tried_again() {
    let directory = tempfile::tempdir().unwrap();
    let cache = open(&directory, u64::MAX);
    // A file cannot be renamed to a directory.
    fs::create_dir_all(path(&directory, &key(0)).join("in")).unwrap();
    cache.write(&key(0).place(), b"entry").unwrap_err();
    fs::remove_dir_all(path(&directory, &key(0))).unwrap();
    assert!(files(&directory).is_empty());
    fs::remove_dir_all(directory.path()).unwrap();
    cache.put(&key(0), &answers(Level::Zero, b"body"));
    assert!(cache.get(&key(0)).is_empty());
    let failure = cache.finish().unwrap_err();
    assert!(matches!(failure, CacheError::Write { .. }), "{failure}");
}

#[test]
fn errors_say_where_and_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let refused = CompileCache::open(directory.path().to_owned(), 0).unwrap_err();
    assert_eq!(
        refused.to_string(),
        format!(
            "other users can write to the compile cache `{}` (mode 777); run `chmod go-w` on it, or set PYCULL_CACHE_DIR to another directory",
            directory.path().display()
        )
    );
}
