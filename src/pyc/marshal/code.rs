//! Code objects: their fields in each version, and what the constructor requires of them.

use std::collections::BTreeMap;

use super::reader::Reader;
use super::value::Value;
use super::{MarshalError, MarshalErrorKind};

const CO_VARARGS: i32 = 0x04;
const CO_VARKEYWORDS: i32 = 0x08;
/// Set in co_localspluskinds for a local variable.
const CO_FAST_LOCAL: u8 = 0x20;

/// A field of a code object. Numbers have 32 bits; other fields are objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    ArgCount,
    PosOnlyArgCount,
    KwOnlyArgCount,
    LocalCount,
    StackSize,
    Flags,
    FirstLine,
    Bytecode,
    Consts,
    Names,
    VarNames,
    FreeVars,
    CellVars,
    LocalsPlusNames,
    LocalsPlusKinds,
    FileName,
    Name,
    QualName,
    LineTable,
    ExceptionTable,
}

use Field::*;

impl Field {
    /// Whether the field is a 32-bit number in the stream.
    pub(super) fn is_number(self) -> bool {
        matches!(
            self,
            ArgCount
                | PosOnlyArgCount
                | KwOnlyArgCount
                | LocalCount
                | StackSize
                | Flags
                | FirstLine
        )
    }
}

/// The layout of 3.3 to 3.7.
const FIRST_LAYOUT: &[Field] = &[
    ArgCount,
    KwOnlyArgCount,
    LocalCount,
    StackSize,
    Flags,
    Bytecode,
    Consts,
    Names,
    VarNames,
    FreeVars,
    CellVars,
    FileName,
    Name,
    FirstLine,
    LineTable,
];
/// The layout of 3.8 to 3.10, with positional-only arguments (PEP 570).
const SECOND_LAYOUT: &[Field] = &[
    ArgCount,
    PosOnlyArgCount,
    KwOnlyArgCount,
    LocalCount,
    StackSize,
    Flags,
    Bytecode,
    Consts,
    Names,
    VarNames,
    FreeVars,
    CellVars,
    FileName,
    Name,
    FirstLine,
    LineTable,
];
/// The layout of 3.11 to 3.15: all variables in one tuple, qualified names, exception tables.
const THIRD_LAYOUT: &[Field] = &[
    ArgCount,
    PosOnlyArgCount,
    KwOnlyArgCount,
    StackSize,
    Flags,
    Bytecode,
    Consts,
    Names,
    LocalsPlusNames,
    LocalsPlusKinds,
    FileName,
    Name,
    QualName,
    FirstLine,
    LineTable,
    ExceptionTable,
];

/// The fields of a code object in stream order.
pub(super) fn layout(minor: u8) -> &'static [Field] {
    match minor {
        ..=7 => FIRST_LAYOUT,
        8..=10 => SECOND_LAYOUT,
        _ => THIRD_LAYOUT,
    }
}

/// A code object whose fields are not all read.
pub(super) struct Code {
    minor: u8,
    offset: usize,
    /// The fields that are still to come.
    rest: &'static [Field],
    arg_count: i32,
    pos_only: i32,
    kw_only: i32,
    flags: i32,
    bytecode: Value,
    var_names: Value,
    kinds: Value,
    /// The first field that the constructor refuses. The constructor checks only after reading all fields, and an end
    /// marker in a later field would prevent the check.
    bad: Option<&'static str>,
}

impl Code {
    /// Reads up to the first field that is an object. `offset` is the offset of the type byte.
    pub(super) fn start(
        minor: u8,
        offset: usize,
        reader: &mut Reader<'_>,
    ) -> Result<Code, MarshalError> {
        let mut code = Code {
            minor,
            offset,
            rest: layout(minor),
            arg_count: 0,
            pos_only: 0,
            kw_only: 0,
            flags: 0,
            bytecode: Value::Null,
            var_names: Value::Null,
            kinds: Value::Null,
            bad: None,
        };
        code.read_numbers(reader)?;
        Ok(code)
    }

    /// Takes the next object and the numbers after it. Returns whether this was the last field.
    pub(super) fn accept(
        &mut self,
        value: Value,
        reader: &mut Reader<'_>,
    ) -> Result<bool, MarshalError> {
        if let Some((&field, rest)) = self.rest.split_first() {
            self.rest = rest;
            self.take_object(field, value);
        }
        self.read_numbers(reader)?;
        Ok(self.rest.is_empty())
    }

    fn read_numbers(&mut self, reader: &mut Reader<'_>) -> Result<(), MarshalError> {
        while let [field, rest @ ..] = self.rest
            && field.is_number()
        {
            let number = reader.long()?;
            self.take_number(*field, number);
            self.rest = rest;
        }
        Ok(())
    }

    fn take_number(&mut self, field: Field, number: i32) {
        let (name, may_be_negative) = match field {
            ArgCount => {
                self.arg_count = number;
                ("argument count", false)
            }
            PosOnlyArgCount => {
                self.pos_only = number;
                ("positional-only argument count", false)
            }
            KwOnlyArgCount => {
                self.kw_only = number;
                ("keyword-only argument count", false)
            }
            LocalCount => ("number of locals", false),
            // The constructor checks these from 3.8 on.
            StackSize => ("stack size", self.minor < 8),
            Flags => {
                self.flags = number;
                ("flags", self.minor < 8)
            }
            _ => ("first line", true),
        };
        self.require(name, number >= 0 || may_be_negative);
    }

    fn take_object(&mut self, field: Field, value: Value) {
        let is_bytes = matches!(value, Value::Bytes(_));
        let is_tuple = matches!(value, Value::Tuple { .. });
        // A name that is not a string crashes the interpreter up to 3.8, and the constructor refuses it from 3.9 on.
        // An incomplete tuple has an element that is not an object.
        let is_names = matches!(
            value,
            Value::Tuple {
                is_whole: true,
                all_text: true,
                ..
            }
        );
        let is_text = value == Value::Text;
        match field {
            Bytecode => {
                self.bytecode = value;
                self.require("bytecode", is_bytes);
            }
            Consts => self.require("tuple of constants", is_tuple),
            Names => self.require("tuple of names", is_names),
            VarNames | LocalsPlusNames => {
                self.var_names = value;
                self.require("tuple of variables", is_names);
            }
            FreeVars | CellVars => self.require("tuple of closure variables", is_names),
            LocalsPlusKinds => {
                self.kinds = value;
                self.require("table of variable kinds", is_bytes);
            }
            FileName => self.require("file name", is_text),
            Name => self.require("name", is_text),
            QualName => self.require("qualified name", is_text),
            LineTable => self.require("line table", is_bytes),
            _ => self.require("exception table", is_bytes),
        }
    }

    fn require(&mut self, name: &'static str, holds: bool) {
        if !holds && self.bad.is_none() {
            self.bad = Some(name);
        }
    }

    /// Checks the fields together, as the constructor does.
    pub(super) fn validate(
        &mut self,
        reader: &Reader<'_>,
        locals: &mut Locals,
    ) -> Result<(), MarshalError> {
        self.require(
            "positional-only argument count",
            self.arg_count >= self.pos_only,
        );
        if self.minor >= 11 {
            self.validate_locals_plus(reader, locals);
        } else if self.minor >= 8 {
            self.validate_var_names();
        }
        match self.bad {
            Some(field) => Err(MarshalError {
                offset: self.offset,
                kind: MarshalErrorKind::BadCode(field),
            }),
            None => Ok(()),
        }
    }

    /// 3.8 to 3.10: each argument needs a name. Bugfix releases of 3.6 and 3.7 require it too.
    fn validate_var_names(&mut self) {
        let Value::Tuple { length, .. } = self.var_names else {
            return;
        };
        let arguments =
            i64::from(self.arg_count) + i64::from(self.kw_only) + i64::from(self.collectors());
        self.require("tuple of variables", arguments <= i64::from(length));
    }

    /// From 3.11 on: the same for the locals among all variables. Also, instructions must be complete.
    fn validate_locals_plus(&mut self, reader: &Reader<'_>, locals: &mut Locals) {
        if let Value::Bytes(place) = self.bytecode
            && let Some(bytecode) = reader.bytes_at(place)
        {
            self.require("bytecode", bytecode.len() % 2 == 0);
        }
        if let (Value::Tuple { length, .. }, Value::Bytes(place)) = (self.var_names, self.kinds)
            && let Some(kinds) = reader.bytes_at(place)
        {
            self.require("table of variable kinds", kinds.len() == length as usize);
            // The interpreter's C ints wrap around, so it accepts huge counts.
            let others = locals
                .count(place, kinds)
                .wrapping_sub(self.arg_count)
                .wrapping_sub(self.kw_only)
                .wrapping_sub(self.collectors());
            self.require("tuple of variables", others >= 0);
        }
    }

    /// The number of `*args` and `**kwargs` parameters.
    fn collectors(&self) -> i32 {
        i32::from(self.flags & CO_VARARGS != 0) + i32::from(self.flags & CO_VARKEYWORDS != 0)
    }
}

/// The number of locals in each table of variable kinds, by the table's place. Many code objects can share a table,
/// and counting it again for each would not be linear.
#[derive(Default)]
pub(super) struct Locals(BTreeMap<u32, i32>);

impl Locals {
    fn count(&mut self, place: u32, kinds: &[u8]) -> i32 {
        *self.0.entry(place).or_insert_with(|| {
            let locals = kinds
                .iter()
                .filter(|&kind| kind & CO_FAST_LOCAL != 0)
                .count();
            i32::try_from(locals).unwrap_or(i32::MAX)
        })
    }
}
