//! The zones of a folder, read when they are first needed.

use std::cell::OnceCell;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{LowerName, Name};

use crate::zone::Zone;
use crate::zone_file;

/// The zones in the files `*.zone` of a folder.
pub(crate) struct Zones {
    folder: PathBuf,
    loaded: OnceCell<Loaded>,
}

struct Loaded {
    zones: Vec<Zone>,
    /// Whether a zone may be missing here.
    faulty: bool,
}

impl Zones {
    /// Reads nothing yet.
    pub(crate) fn of(folder: &Path) -> Self {
        Self { folder: folder.into(), loaded: OnceCell::new() }
    }

    /// The zone of `name`; of several the innermost. An error is the code to answer with: REFUSED
    /// or, if the name may belong to a zone that could not be read, SERVFAIL.
    ///
    /// The first call reads the folder, and logs what is wrong with it.
    pub(crate) fn find(&self, name: &Name) -> Result<&Zone, ResponseCode> {
        let loaded = self.loaded.get_or_init(|| load(&self.folder));
        let name = LowerName::new(name);
        let missing = if loaded.faulty { ResponseCode::ServFail } else { ResponseCode::Refused };
        let zones = loaded.zones.iter().filter(|zone| zone.apex().zone_of(&name));
        zones.max_by_key(|zone| zone.apex().iter().len()).ok_or(missing)
    }
}

fn load(folder: &Path) -> Loaded {
    let mut loaded = Loaded { zones: Vec::new(), faulty: false };
    let files = files(folder).unwrap_or_else(|error| {
        loaded.faulty = true;
        portcell_sdk::error!(
            "{}: {error}; grant a folder with zone files under this name",
            folder.display()
        );
        Vec::new()
    });
    for file in files {
        match zone_file::read(&file) {
            Ok(zone) if loaded.zones.iter().any(|other| other.apex() == zone.apex()) => {
                loaded.faulty = true;
                let (file, apex) = (file.display(), zone.apex());
                portcell_sdk::error!("{file}: the zone {apex} is in a file before this one too");
            }
            Ok(zone) => loaded.zones.push(zone),
            Err(fault) => {
                loaded.faulty = true;
                portcell_sdk::error!("{fault}");
            }
        }
    }
    loaded
}

/// The files that a shell's `*.zone` gives, in its order.
fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.ends_with(".zone") && !name.starts_with('.') {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}
