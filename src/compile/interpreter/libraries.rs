//! Finds the libraries that a loader would map.

use std::collections::{BTreeSet, HashMap, VecDeque};

use super::elf::{self, Needs};
use super::error::{InterpreterError, text};
use super::find::Candidate;
use super::image_files::ImageFiles;
use super::search::{self, Loader, expand};
use crate::path;
use crate::rootfs::InodeId;

/// Maximum number of libraries of one interpreter.
const MOST_LIBRARIES: usize = 200;

/// An extension module: a shared library that Python imports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extension {
    /// Its path, without a leading slash.
    pub path: Vec<u8>,
    /// The inode of the file.
    pub inode: InodeId,
}

/// The role of an ELF file in the process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Role {
    Program,
    /// A library, with the name by which it was requested.
    Library(Vec<u8>),
    Extension,
}

/// An ELF file in the process.
#[derive(Debug, Clone)]
pub(super) struct Object {
    pub(super) role: Role,
    path: Vec<u8>,
    pub(super) inode: InodeId,
    pub(super) needs: Needs,
    /// Index of the object that requested it first.
    parent: Option<usize>,
    /// Whether only an extension module needs it. Such a module may fail to load.
    is_optional: bool,
}

impl Object {
    /// DT_RPATH, if the loader uses it.
    pub(super) fn rpath(&self) -> Option<&[u8]> {
        self.needs
            .rpath
            .as_deref()
            .filter(|_| self.needs.runpath.is_none())
    }
}

/// The result of parsing each file. `None` if it is not ELF.
pub(super) type Parsed = HashMap<InodeId, Option<Needs>>;

/// The loader's walk through the libraries, breadth first, as far as the files were read.
pub(super) struct Walk<'a, 'b> {
    files: &'a ImageFiles<'b>,
    parsed: &'a mut Parsed,
    loader: Option<&'a Loader>,
    pub(super) objects: Vec<Object>,
    names: BTreeSet<Vec<u8>>,
    system_directories: Vec<Vec<u8>>,
    pub(super) unread: BTreeSet<InodeId>,
    /// Unread files that only extension modules need.
    pub(super) unread_optional: BTreeSet<InodeId>,
}

impl<'a, 'b> Walk<'a, 'b> {
    pub(super) fn new(
        files: &'a ImageFiles<'b>,
        parsed: &'a mut Parsed,
        loader: Option<&'a Loader>,
    ) -> Self {
        let mut unread = BTreeSet::new();
        let text = |inode| files.get(inode).map(|data| data.to_vec());
        let system_directories = loader.map_or_else(Vec::new, |loader| {
            search::system_directories(files.rootfs, loader, &text, &mut unread)
        });
        Self {
            files,
            parsed,
            loader,
            objects: Vec::new(),
            names: BTreeSet::new(),
            system_directories,
            unread,
            unread_optional: BTreeSet::new(),
        }
    }

    pub(super) fn run(
        &mut self,
        candidate: &Candidate,
        needs: &Needs,
        extensions: &[Extension],
    ) -> Result<(), InterpreterError> {
        // The loader is already loaded, under the name in PT_INTERP.
        self.names.extend(
            needs
                .loader
                .as_deref()
                .map(|path| path::file_name(path).to_vec()),
        );
        self.objects.push(Object {
            role: Role::Program,
            path: candidate.path.clone(),
            inode: candidate.inode,
            needs: needs.clone(),
            parent: None,
            is_optional: false,
        });
        self.follow_needs(0)?;
        // Without a loader, Python cannot load extension modules.
        let has_loader = self.loader.is_some();
        for extension in extensions.iter().filter(|_| has_loader) {
            let Some(needs) = self.parse(extension.inode) else {
                continue;
            };
            self.objects.push(Object {
                role: Role::Extension,
                path: extension.path.clone(),
                inode: extension.inode,
                needs,
                parent: Some(0),
                is_optional: true,
            });
            self.follow_needs(self.objects.len() - 1)?;
        }
        Ok(())
    }

    /// Adds the libraries that an object needs, and recursively those that they need.
    fn follow_needs(&mut self, first: usize) -> Result<(), InterpreterError> {
        let mut pending = VecDeque::from([first]);
        while let Some(parent) = pending.pop_front() {
            for name in self.objects[parent].needs.libraries.clone() {
                let is_loader = self.loader.is_some_and(|loader| loader.is_itself(&name));
                if is_loader || self.names.contains(&name) {
                    continue;
                }
                if self.names.len() >= MOST_LIBRARIES {
                    if self.objects[parent].is_optional {
                        return Ok(());
                    }
                    return Err(InterpreterError::TooMuch {
                        path: text(&self.objects[parent].path),
                        limit: format!("{MOST_LIBRARIES} libraries"),
                    });
                }
                if let Some(object) = self.find(parent, &name)? {
                    self.names.insert(name);
                    self.names.extend(object.needs.name.clone());
                    pending.push_back(self.objects.len());
                    self.objects.push(object);
                }
            }
        }
        Ok(())
    }

    /// Finds the first file of that name that the loader would use. Returns `None` if unread files may decide it.
    fn find(&mut self, parent: usize, name: &[u8]) -> Result<Option<Object>, InterpreterError> {
        let rootfs = self.files.rootfs;
        let architecture = self.objects[0].needs.architecture;
        // A name with a slash is a path, which would lead to a file of this machine.
        let directories = match name.contains(&b'/') {
            true => Vec::new(),
            false => self.directories(parent),
        };
        let mut is_known = true;
        for directory in directories {
            let Some(node) = rootfs.follow(&directory) else {
                continue;
            };
            let directory = rootfs.path(node);
            let file = path::join(&directory, name);
            let Some(inode) = rootfs.file_at(&file) else {
                continue;
            };
            if self.files.get(inode).is_none() {
                match self.objects[parent].is_optional {
                    true => self.unread_optional.insert(inode),
                    false => self.unread.insert(inode),
                };
                is_known = false;
                continue;
            }
            let needs = self
                .parse(inode)
                .filter(|needs| needs.architecture == architecture);
            if let Some(needs) = needs.filter(|_| is_known) {
                return Ok(Some(Object {
                    role: Role::Library(name.to_vec()),
                    path: file,
                    inode,
                    needs,
                    parent: Some(parent),
                    is_optional: self.objects[parent].is_optional,
                }));
            }
        }
        // While configuration files are unread, the loader's search path is not known.
        let parent = &self.objects[parent];
        if !is_known || !self.unread.is_empty() || parent.is_optional {
            return Ok(None);
        }
        Err(InterpreterError::Library {
            path: text(&parent.path),
            library: text(name),
        })
    }

    /// The directories in which the loader looks for the libraries of an object. glibc's ld.so(8) searches
    /// LD_LIBRARY_PATH after DT_RPATH and before DT_RUNPATH. musl searches LD_LIBRARY_PATH first. It then searches
    /// either path of the object and of all objects that led to it.
    fn directories(&self, object: usize) -> Vec<Vec<u8>> {
        let is_musl = matches!(self.loader, Some(Loader::Musl(_)));
        let mut directories = Vec::new();
        let mut add = |list: Option<&[u8]>, object: &Object| {
            let list = list.unwrap_or_default();
            let origin = path::parent(&object.path);
            directories.extend(expand(list, origin, self.files.rootfs));
        };
        let own_runpath = self.objects[object].needs.runpath.as_deref();
        let library_path = Some(&*self.files.library_path);
        if is_musl {
            add(library_path, &self.objects[object]);
        }
        let mut current = Some(object).filter(|_| is_musl || own_runpath.is_none());
        while let Some(index) = current {
            let object = &self.objects[index];
            let list = object
                .rpath()
                .or(object.needs.runpath.as_deref().filter(|_| is_musl));
            add(list, object);
            current = object.parent;
        }
        if !is_musl {
            add(library_path, &self.objects[object]);
            add(own_runpath, &self.objects[object]);
        }
        directories.extend_from_slice(&self.system_directories);
        directories
    }

    /// What a file needs. `None` if it is not an ELF file that a loader would accept.
    fn parse(&mut self, inode: InodeId) -> Option<Needs> {
        let data = self.files.get(inode)?;
        self.parsed
            .entry(inode)
            .or_insert_with(|| elf::parse(data).ok())
            .clone()
    }
}
