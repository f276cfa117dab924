//! CPython bytecode files: their names, headers and bodies. Bytes and names only, no I/O.
