//! Reads the layers of an image, in parallel.

use std::sync::Arc;

use super::access::Access;
use super::error::{LayerError, LayerErrorCause, layer_error};
use super::scan::{LayerScan, scan_layer};
use super::shared::SharedScans;
use crate::limits::LayerAllowances;
use crate::oci::image::Layer;
use crate::parallel::try_map;
use crate::progress::Phase;

/// Reads all layers of an image in parallel.
///
/// # Errors
/// [`LayerError`] for the first layer that is missing or damaged, is not a tar archive, has another diff_id than the
/// config, or exceeds `allowances`.
pub fn scan_layers(
    access: Access<'_>,
    layers: &[Layer],
    allowances: &LayerAllowances,
) -> Result<Vec<Arc<LayerScan>>, LayerError> {
    scan_shared(access, layers, allowances, &SharedScans::default(), &|_| ())
}

/// As [`scan_layers`], but does not read a layer that `shared` has. `read` gets each layer as soon as it is read.
///
/// # Errors
/// As [`scan_layers`].
pub(crate) fn scan_shared(
    access: Access<'_>,
    layers: &[Layer],
    allowances: &LayerAllowances,
    shared: &SharedScans,
    read: &(dyn Fn(&LayerScan) + Sync),
) -> Result<Vec<Arc<LayerScan>>, LayerError> {
    let Access {
        store,
        jobs,
        observer,
    } = access;
    observer.begin(
        Phase::Reading,
        layers.len(),
        layers.iter().map(|layer| layer.descriptor.size()).sum(),
    );
    let scans = try_map(jobs, layers, |index, layer| {
        let scan = match shared.get(layer) {
            Some(scan) => known(scan, allowances),
            None => scan_layer(store, layer, allowances, observer).map(Arc::new),
        };
        let scan = scan.map_err(|cause| layer_error(index, layer, cause))?;
        shared.keep(&scan);
        read(&scan);
        observer.item_done();
        Ok(scan)
    });
    observer.end();
    scans
}

/// Counts the members of a layer that is not read again.
fn known(
    scan: Arc<LayerScan>,
    allowances: &LayerAllowances,
) -> Result<Arc<LayerScan>, LayerErrorCause> {
    allowances.members.spend(scan.members.len() as u64)?;
    Ok(scan)
}
