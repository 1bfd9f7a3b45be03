//! What the program itself costs a consumer: a pull into a CSV file, in processor time of the client's process.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use crate::town::{Town, atena, printed};

/// Pulls, of which the mean counts: the kernel tells processor time in hundredths of a second.
const PULLS: u32 = 5;

/// Bytes that are written and made durable at once, as the program does.
const BLOCK_BYTES: usize = 4 * 1024 * 1024;

/// Microseconds a record: of the program, and of writing the same bytes from memory to the same disk.
pub(crate) fn measure(town: &Town, people: u64) -> (f64, f64) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("payment.csv");
    let cursor = folder.path().join("cursor");
    let before = ticks_of_children();
    for _ in 0..PULLS {
        // Without a cursor the pull is a full one, which replaces the file.
        let _ = fs::remove_file(&cursor);
        let (home, out) = (town.home_text(), folder.path().to_str().unwrap());
        let pull = ["pull", "--home", home, "--as", "resident-tax", "--dataset", "payment", "--out", out];
        let kept = ["--cursor-file", cursor.to_str().unwrap(), "--server", town.address()];
        printed(&atena(&[&pull[..], &kept[..]].concat()));
    }
    let seconds = (ticks_of_children() - before) as f64 / ticks_of_second();
    let content = fs::read(&file).unwrap();
    assert_eq!(content.iter().filter(|byte| **byte == b'\n').count() as u64, people + 1);
    let each = |seconds: f64| seconds * 1e6 / f64::from(PULLS) / people as f64;
    (each(seconds), each(bare(&folder.path().join("bare.csv"), &content)))
}

/// Writes bytes as often as they were pulled; processor time in seconds.
fn bare(path: &Path, content: &[u8]) -> f64 {
    let before = nanoseconds_of_thread();
    for _ in 0..PULLS {
        let mut file = File::create(path).unwrap();
        for block in content.chunks(BLOCK_BYTES) {
            file.write_all(block).unwrap();
            file.sync_data().unwrap();
        }
    }
    (nanoseconds_of_thread() - before) as f64 / 1e9
}

/// Processor time of the children that ended, user's and system's.
fn ticks_of_children() -> u64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    // The name of the program, in parentheses, may hold blanks. Fields 16 and 17 of the line are 13 and 14 after it.
    let after = stat.rsplit_once(") ").unwrap().1;
    after.split(' ').skip(13).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum()
}

fn ticks_of_second() -> f64 {
    let output = Command::new("getconf").arg("CLK_TCK").output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
}

/// Processor time of this thread.
fn nanoseconds_of_thread() -> u64 {
    let line = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    line.split(' ').next().unwrap().parse().unwrap()
}
