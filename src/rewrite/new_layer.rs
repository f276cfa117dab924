//! Writes one new layer.

use std::fs::{self, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use super::apply::{ApplyError, Output, Whole, apply};
use super::edits::{Edit, Piece, edits, kept};
use super::forward::two_readers;
use super::staging::{staged, staged_layer};
use crate::deflate::{Old, SparseReader};
use crate::layers::{LayerErrorCause, LayerScan, reread_layer};
use crate::oci::blob::into_blob_error;
use crate::oci::compression::{Compression, CompressionSetting, DEFAULT_ZSTD_LEVEL, Encoding};
use crate::oci::layer_writer::{EndedLayer, LayerFile, LayerWriter, WrittenLayer};
use crate::oci::zstd_level::{levels_above, nearest_level};
use crate::oci::{Blob, BlobError, BlobStore, open_verified};
use crate::plan::LayerPlan;
use crate::progress::{Observer, Unobserved};
use crate::read_at::ReadAt;
use crate::tar::BLOCK;
use crate::transport::{EarlyBlobs, Follower};

/// A layer and the changes to it.
pub(super) struct NewLayer<'a> {
    pub(super) store: &'a dyn BlobStore,
    pub(super) scan: &'a LayerScan,
    pub(super) plan: &'a LayerPlan,
    /// Members to add after the layer's own.
    pub(super) added: &'a [Piece],
    /// The bytes of every [`Piece::Spooled`].
    pub(super) spool: &'a dyn ReadAt,
    pub(super) compression: CompressionSetting,
    pub(super) observer: &'a dyn Observer,
    /// The directory for the new file.
    pub(super) directory: &'a Path,
    /// Number of threads that compress.
    pub(super) threads: usize,
    /// Takes the new blob, if possible while it is written.
    pub(super) early: Option<&'a dyn EarlyBlobs>,
    /// Whether nothing else needs the old blob after this.
    pub(super) is_last_use: bool,
}

impl NewLayer<'_> {
    /// Writes the layer into a new file.
    ///
    /// # Errors
    /// [`LayerErrorCause`]. The file is then useless.
    pub(super) fn write(self) -> Result<WrittenLayer, LayerErrorCause> {
        let edits = edits(self.scan, self.plan, self.added)?;
        let written = match self.encoding() {
            _ if keeps_zstd(self.compression, self.scan) => self.sent(self.keep_zstd(&edits)?),
            Encoding::Gzip { level, .. } if self.can_be_spliced() => self
                .splice(&edits, level)
                .map_err(|cause| self.explained(cause))?,
            encoding => self.sent(self.encode(&edits, encoding, self.observer)?),
        };
        if self.is_last_use
            && let Ok(old) = self.old_blob()
        {
            old.discard(u64::MAX);
        }
        Ok(written)
    }

    fn new_file(&self, hashes: bool) -> Result<LayerFile, LayerErrorCause> {
        let file = new_file(self.directory, hashes);
        file.map_err(|error| self.write_error(error))
    }

    fn old_blob(&self) -> Result<Blob, LayerErrorCause> {
        Ok(self.store.open(self.scan.layer.descriptor.digest())?)
    }

    /// Compresses the layer at its old level, as far as the start of the old blob shows it. Tries higher levels if the
    /// layer became larger although it has less content.
    fn keep_zstd(&self, edits: &[Edit<'_>]) -> Result<WrittenLayer, LayerErrorCause> {
        let level = nearest_zstd_level(self.store, self.scan);
        let first = Encoding::Zstd(level);
        let mut best = self.encode(edits, first, self.observer)?;
        for level in levels_above(level).take(MOST_ATTEMPTS) {
            if !grew(self.scan, &best) {
                break;
            }
            let encoding = Encoding::Zstd(level);
            let mut worse = self.encode(edits, encoding, &Unobserved)?;
            if worse.compressed_bytes < best.compressed_bytes {
                std::mem::swap(&mut best, &mut worse);
            }
            fs::remove_file(&worse.path).map_err(|error| self.write_error(error))?;
        }
        Ok(best)
    }

    fn encoding(&self) -> Encoding<'static> {
        self.compression.encoding(self.scan.compression)
    }

    /// Whether compressed blocks can be copied. If the user chose a level, that applies to the whole layer.
    fn can_be_spliced(&self) -> bool {
        self.compression.keeps() && !self.scan.blocks.is_empty()
    }

    /// Copies the compressed blocks of the old layer that did not change.
    fn splice(&self, edits: &[Edit<'_>], level: u32) -> Result<WrittenLayer, LayerErrorCause> {
        let length = self.scan.uncompressed_bytes;
        let [to_copy, to_decode] = self.two_readers()?;
        let (kept, new_length) = kept(edits, length);
        let old = Old {
            bytes: to_copy,
            index: &self.scan.blocks,
            kept: &kept,
            new_length,
        };
        let encoding = Encoding::Gzip {
            level,
            old: Some(old),
        };
        // Few bytes are compressed. Reading back takes longest, and must not wait for a processor.
        let threads = self.threads.div_ceil(2);
        let writer = LayerWriter::new(self.new_file(self.early.is_some())?, encoding, threads)
            .map_err(|error| self.write_error(error))?;
        let early = self.early;
        let follower = early.and_then(|early| early.follow(Box::new(writer.reader())));
        let mut output = ObservedOutput {
            writer,
            progress: RemainingProgress {
                observer: self.observer,
                left: self.scan.layer.descriptor.size(),
            },
        };
        let mut input = SparseReader::new(to_decode, &self.scan.blocks);
        apply(&mut input, length, edits, self.spool, &mut output)
            .map_err(|error| self.cause(error))?;
        input.finish().map_err(LayerErrorCause::Decode)?;
        let written = output.finish(|ended| self.send(ended, follower));
        written.map_err(|error| self.write_error(error))
    }

    /// The old blob, once to copy from and once to decode. Its space is freed on the way if nothing else needs it.
    fn two_readers(&self) -> Result<[Arc<dyn ReadAt>; 2], LayerErrorCause> {
        let blob = self.old_blob()?;
        Ok(match self.is_last_use {
            true => two_readers(blob),
            false => [Arc::new(blob.clone()), Arc::new(blob)],
        })
    }

    /// Hands over a layer that was read back.
    fn sent(&self, written: WrittenLayer) -> WrittenLayer {
        if let Some(early) = self.early {
            early.take(staged_layer(&written));
        }
        written
    }

    /// Hands over a complete file, so that it is stored while it is still read back.
    fn send(&self, ended: &EndedLayer, follower: Option<Follower<'_>>) {
        if let (Some(early), Some(digest)) = (self.early, ended.digest()) {
            let (path, size) = (ended.path().to_owned(), ended.compressed_bytes());
            let blob = staged(digest.clone(), path, size);
            match follower {
                Some(follower) => follower(blob),
                None => early.take(blob),
            }
        }
    }

    /// Checks the old blob again if the new layer has wrong content. If the blob is damaged, that explains it.
    fn explained(&self, cause: LayerErrorCause) -> LayerErrorCause {
        let may_be_damage = match &cause {
            LayerErrorCause::Write { source, .. } => source.kind() == io::ErrorKind::InvalidData,
            _ => true,
        };
        if !may_be_damage {
            return cause;
        }
        let descriptor = &self.scan.layer.descriptor;
        let read = open_verified(self.store, descriptor).and_then(|mut blob| {
            io::copy(&mut blob, &mut io::sink())
                .map_err(|error| into_blob_error(error, descriptor.digest()))
        });
        match read {
            Err(damage @ (BlobError::Digest { .. } | BlobError::Size { .. })) => damage.into(),
            _ => cause,
        }
    }

    /// Compresses the whole layer.
    fn encode(
        &self,
        edits: &[Edit<'_>],
        encoding: Encoding<'static>,
        observer: &dyn Observer,
    ) -> Result<WrittenLayer, LayerErrorCause> {
        let mut writer = LayerWriter::new(self.new_file(false)?, encoding, self.threads)
            .map_err(|error| self.write_error(error))?;
        let length = self.scan.uncompressed_bytes;
        reread_layer(self.store, &self.scan.layer, observer, |stream| {
            // Errors of the output stay separate from errors of the input.
            match apply(&mut Whole(stream), length, edits, self.spool, &mut writer) {
                Err(ApplyError::Input(error)) => Err(error.into()),
                result => Ok(result),
            }
        })?
        .map_err(|error| self.cause(error))?;
        writer.finish().map_err(|error| self.write_error(error))
    }

    fn cause(&self, error: ApplyError) -> LayerErrorCause {
        match error {
            ApplyError::Input(error) => LayerErrorCause::Decode(error),
            ApplyError::Output(error) => self.write_error(error),
        }
    }

    /// The error names the directory, because the file has a random name. The directory shows which disk is full.
    fn write_error(&self, source: io::Error) -> LayerErrorCause {
        write_error(self.directory, source)
    }
}

/// Number of higher levels to try for a layer that became larger.
const MOST_ATTEMPTS: usize = 2;

/// Whether the compressed size of a layer grew although its content did not.
pub(crate) fn grew(scan: &LayerScan, written: &WrittenLayer) -> bool {
    written.uncompressed_bytes <= scan.uncompressed_bytes
        && written.compressed_bytes > scan.layer.descriptor.size()
}

/// Whether a layer keeps its Zstandard compression.
pub(super) fn keeps_zstd(setting: CompressionSetting, scan: &LayerScan) -> bool {
    setting.keeps() && scan.compression == Compression::Zstd
}

/// The compression level nearest to that of a layer. A blob that cannot be read gives the default level. If the layer
/// is rewritten, reading it reports the error.
pub(super) fn nearest_zstd_level(store: &dyn BlobStore, scan: &LayerScan) -> i32 {
    let blob = open_verified(store, &scan.layer.descriptor);
    let level = blob.ok().and_then(|blob| nearest_level(blob).ok());
    level.unwrap_or(DEFAULT_ZSTD_LEVEL)
}

fn write_error(directory: &Path, source: io::Error) -> LayerErrorCause {
    LayerErrorCause::Write {
        directory: directory.display().to_string(),
        source,
    }
}

/// Creates a file with the mode of all files in the output, because a layout may take over the file as it is.
fn new_file(directory: &Path, hashes: bool) -> io::Result<LayerFile> {
    let file = tempfile::Builder::new()
        .permissions(Permissions::from_mode(0o644))
        .tempfile_in(directory)?;
    let (file, path) = file.keep().map_err(|error| error.error)?;
    Ok(LayerFile { file, path, hashes })
}

/// Writes a layer with only these members into a new file.
///
/// # Errors
/// I/O errors, as [`LayerErrorCause::Write`].
pub(super) fn write_new_layer(
    members: &[Piece],
    spool: &dyn ReadAt,
    encoding: Encoding<'static>,
    directory: &Path,
    threads: usize,
) -> Result<WrittenLayer, LayerErrorCause> {
    // Two blocks of zeros end an archive.
    let end = [Piece::Bytes(vec![0; 2 * BLOCK as usize])];
    let all = [members, &end].map(|pieces| Edit {
        range: 0..0,
        replacement: pieces.into(),
    });
    let written = new_file(directory, false).and_then(|file| {
        let mut writer = LayerWriter::new(file, encoding, threads)?;
        let nothing = &mut Whole(io::empty());
        match apply(nothing, 0, &all, spool, &mut writer) {
            Ok(()) => writer.finish(),
            Err(ApplyError::Input(error) | ApplyError::Output(error)) => Err(error),
        }
    });
    written.map_err(|error| write_error(directory, error))
}

/// A layer that reports its progress to an observer. Progress counts the bytes read back, because that takes longest.
struct ObservedOutput<'a> {
    writer: LayerWriter,
    progress: RemainingProgress<'a>,
}

/// An observer, and the number of bytes that it still expects.
struct RemainingProgress<'a> {
    observer: &'a dyn Observer,
    left: u64,
}

impl RemainingProgress<'_> {
    fn advance(&mut self, bytes: u64) {
        let bytes = bytes.min(self.left);
        self.left -= bytes;
        self.observer.advance(bytes);
    }
}

impl ObservedOutput<'_> {
    fn report(&mut self) {
        self.progress.advance(self.writer.take_read_back());
    }

    /// Ends the layer. `ended` gets it before it is read back.
    fn finish(mut self, ended: impl FnOnce(&EndedLayer)) -> io::Result<WrittenLayer> {
        let layer = self.writer.end()?;
        ended(&layer);
        let written = layer.check(&mut |bytes| self.progress.advance(bytes));
        self.progress.advance(u64::MAX);
        written
    }
}

impl Write for ObservedOutput<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.report();
        self.writer.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

impl Output for ObservedOutput<'_> {
    fn unneeded(&mut self) -> io::Result<u64> {
        self.writer.unneeded()
    }

    fn skip(&mut self, bytes: u64) -> io::Result<()> {
        self.report();
        self.writer.skip(bytes)
    }
}
