//! Turns the report of each command into a [`document`]: lines, tables and notes, in reading order.

pub mod bench;
pub mod compare;
pub mod document;
pub mod inspect;
pub mod minimize;
pub mod verify;

/// The layers of the sandbox in words. They begin with "nothing" if there are none.
fn confined(sandbox: &str) -> String {
    match sandbox.strip_prefix("nothing: ") {
        Some(reason) => format!("not confined: {reason}"),
        None => format!("confined by {sandbox}"),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_missing_sandbox_is_said() {
        let confined = super::confined;
        assert_eq!(
            confined("nothing: the sandbox is off"),
            "not confined: the sandbox is off"
        );
        assert_eq!(confined("namespaces"), "confined by namespaces");
    }
}
