//! One compile cache for images with different interpreters. The answers of one interpreter never go to an image with
//! another (SECURITY.md).

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::{TempDir, tempdir};

use super::crafted::{py_compile, with_interpreter};
use crate::support::Layout;
use crate::support::tools::{pycull_command, run};

/// Number of compiled files: those that make a directory a standard library, and one module.
const SOURCES: usize = 4;

/// A program that answers like a worker for Python 3.11, but with the same bytecode for every source. The bytecode
/// contains this text.
fn worker(says: &str) -> String {
    let body = |text: &str| {
        let cache = py_compile(&format!("says = {text:?}\n"), "/m.py", 0);
        let bytes: Vec<String> = cache[16..].iter().map(u8::to_string).collect();
        bytes.join(",")
    };
    let (with_ranges, without) = (body(says), body(&format!("{says} without columns")));
    format!(
        r#"
        #include <stdio.h>
        #include <string.h>
        static const unsigned char with_ranges[] = {{{with_ranges}}}, without[] = {{{without}}};
        static const char ready[] = "pycull-worker-1\n\247\r\r\n\003\013\013cpython-311";
        static unsigned number(void) {{
            unsigned value = 0;
            for (int byte = 0; byte < 4; byte++) value |= (unsigned)getchar() << 8 * byte;
            return value;
        }}
        int main(int count, char **arguments) {{
            int is_without = 0;
            for (int i = 1; i < count; i++) is_without |= strcmp(arguments[i], "no_debug_ranges") == 0;
            const unsigned char *body = is_without ? without : with_ranges;
            unsigned length = is_without ? sizeof without : sizeof with_ranges;
            fwrite(ready, 1, sizeof ready - 1, stdout);
            fflush(stdout);
            for (int levels; (levels = getchar()) != EOF;) {{
                unsigned left = number();
                left += number();
                while (left--) getchar();
                for (int level = 0; level < 3; level++) {{
                    if (!(levels >> level & 1)) continue;
                    putchar(0);
                    fwrite(&length, 4, 1, stdout);
                    fwrite(body, 1, length, stdout);
                }}
                fflush(stdout);
            }}
            return 0;
        }}"#
    )
}

struct Scene(TempDir);

impl Scene {
    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// An image whose interpreter answers with this text.
    fn image(&self, says: &str) -> PathBuf {
        let path = self.path(says);
        with_interpreter(&worker(says), 1).write(&path);
        path
    }

    /// Compiles the image with the shared cache. Returns the content of the module's new cache.
    fn compiled(&self, image: &Path, more: &[&str]) -> String {
        let output = self.path("out");
        let mut command = pycull_command();
        command
            .env("PYCULL_CACHE_DIR", self.path("cache"))
            .args(["minimize", image.to_str().unwrap(), "--strict"])
            .args(["--set", "missing=compile"])
            .args(["--output", output.to_str().unwrap()])
            .args(more);
        run(&mut command).success();
        let members = Layout::new(&output).members(1);
        fs::remove_dir_all(&output).unwrap();
        let is_cache = |path: &str| path.ends_with("/m0.cpython-311.pyc");
        let cache = members.into_iter().find(|member| is_cache(&member.path));
        String::from_utf8_lossy(&cache.unwrap().data).into_owned()
    }

    /// Number of sources with known answers in the cache.
    fn known(&self) -> usize {
        let shards = fs::read_dir(self.path("cache")).unwrap();
        shards
            .map(|shard| fs::read_dir(shard.unwrap().path()).unwrap().count())
            .sum()
    }
}

#[test]
fn interpreters_share_a_cache_but_no_answers() {
    let scene = Scene(tempdir().unwrap());
    let (honest, hostile) = (scene.image("honest"), scene.image("hostile"));
    assert!(scene.compiled(&hostile, &[]).contains("hostile"));
    assert_eq!(scene.known(), SOURCES);
    let body = scene.compiled(&honest, &[]);
    assert!(
        body.contains("honest") && !body.contains("hostile"),
        "{body}"
    );
    assert_eq!(scene.known(), 2 * SOURCES);
    // The cache now knows the answers of both.
    assert!(scene.compiled(&hostile, &[]).contains("hostile"));
    assert_eq!(scene.known(), 2 * SOURCES);
}

#[test]
fn code_with_columns_is_no_answer_where_none_are_wanted() {
    let scene = Scene(tempdir().unwrap());
    let image = scene.image("one");
    let without = &["--set", "debug_ranges=false"];
    assert!(!scene.compiled(&image, &[]).contains("without columns"));
    assert!(scene.compiled(&image, without).contains("without columns"));
    assert!(!scene.compiled(&image, &[]).contains("without columns"));
    assert_eq!(scene.known(), 2 * SOURCES);
}
