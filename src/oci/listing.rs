//! Lists in messages, cut after the first items.

/// Maximum number of items in a message.
const MOST: usize = 10;

/// Joins the items with commas. Names the first ten and counts the rest.
pub fn listed(items: &[String]) -> String {
    match items.split_at_checked(MOST) {
        Some((first, rest @ [_, ..])) => format!("{} and {} more", first.join(", "), rest.len()),
        _ => items.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_list_ends_early() {
        let items = |count: usize| (1..=count).map(|it| it.to_string()).collect::<Vec<_>>();
        assert_eq!(listed(&items(2)), "1, 2");
        assert_eq!(listed(&items(10)), "1, 2, 3, 4, 5, 6, 7, 8, 9, 10");
        assert_eq!(
            listed(&items(20_000)),
            "1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 19990 more"
        );
    }
}
