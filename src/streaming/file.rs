//! A file: one event a line, appended.
//!
//! What was cut off in the middle of a line is taken away before more is written: the cursor has not
//! moved, and its events come again. The file is opened for each batch, so that it may be renamed at any
//! time.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use tokio::task::spawn_blocking;

/// How much is read at once on the way back to the end of a line.
const STEP: u64 = 4_096;

/// Appends `lines` to the file at `path`; they are durable when it returns.
///
/// # Errors
/// The system's.
pub async fn append(path: PathBuf, lines: Vec<u8>) -> io::Result<()> {
    spawn_blocking(move || write(&path, &lines)).await.map_err(io::Error::other)?
}

fn write(path: &Path, lines: &[u8]) -> io::Result<()> {
    let new = !path.exists();
    let mut file = OpenOptions::new().create(true).read(true).append(true).open(path)?;
    let whole = end_of_lines(&mut file)?;
    if whole < file.metadata()?.len() {
        file.set_len(whole)?;
    }
    file.write_all(lines)?;
    file.sync_data()?;
    if new && let Some(folder) = path.parent() {
        // The name of the file is durable as well.
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

/// Where the last whole line ends.
fn end_of_lines(file: &mut File) -> io::Result<u64> {
    let mut end = file.metadata()?.len();
    while end > 0 {
        let start = end.saturating_sub(STEP);
        let mut read = Vec::new();
        file.seek(SeekFrom::Start(start))?;
        (&mut *file).take(end - start).read_to_end(&mut read)?;
        if let Some(at) = read.iter().rposition(|byte| *byte == b'\n') {
            return Ok(start + at as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_cut_off_is_taken_away_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.ndjson");
        write(&path, b"{\"a\":1}\n{\"a\":2}\n").unwrap();
        let cut = "x".repeat(3 * STEP as usize);
        OpenOptions::new().append(true).open(&path).unwrap().write_all(cut.as_bytes()).unwrap();
        write(&path, b"{\"a\":3}\n").unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text, "{\"a\":1}\n{\"a\":2}\n{\"a\":3}\n");
        std::fs::write(&path, "no line at all").unwrap();
        write(&path, b"{}\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{}\n");
    }
}
