//! What a registry asks for when it refuses a request with 401: the `WWW-Authenticate` header (RFC 9110, section
//! 11.6.1; distribution's token authentication).

/// How a registry wants to be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Challenge {
    /// User name and password with each request.
    Basic,
    /// A token from a server of tokens.
    Bearer {
        /// The address of the server of tokens.
        realm: String,
        /// The name of the registry there.
        service: Option<String>,
        /// What the token must permit.
        scope: Option<String>,
    },
}

impl Challenge {
    /// The first challenge that pycull can meet. A token goes before a password, as in other clients.
    pub(super) fn first<'a>(headers: impl Iterator<Item = &'a str>) -> Option<Self> {
        let mut found: Vec<Self> = headers.flat_map(challenges).collect();
        found.sort_by_key(|challenge| *challenge == Self::Basic);
        found.into_iter().next()
    }
}

fn challenges(header: &str) -> Vec<Challenge> {
    let mut found = Vec::new();
    let mut rest = header.trim();
    while !rest.is_empty() {
        let (scheme, after) = split_token(rest);
        if scheme.is_empty() {
            break;
        }
        let (parameters, after) = parameters(after);
        let get = |name: &str| {
            let mut all = parameters.iter();
            all.find(|(key, _)| key.eq_ignore_ascii_case(name))
                .map(|(_, value)| value.clone())
        };
        if scheme.eq_ignore_ascii_case("bearer") {
            found.extend(get("realm").map(|realm| Challenge::Bearer {
                realm,
                service: get("service"),
                scope: get("scope"),
            }));
        } else if scheme.eq_ignore_ascii_case("basic") {
            found.push(Challenge::Basic);
        }
        rest = after;
    }
    found
}

/// Splits a token from the start of a text, and removes blanks after it.
fn split_token(text: &str) -> (&str, &str) {
    let is_in_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~/=".contains(c);
    let end = text
        .find(|c| !is_in_token(c) || c == '=')
        .unwrap_or(text.len());
    (&text[..end], text[end..].trim_start())
}

/// Reads `name=value` pairs with commas between them. Returns them and the text from the next scheme on.
fn parameters(mut text: &str) -> (Vec<(String, String)>, &str) {
    let mut found = Vec::new();
    loop {
        text = text.trim_start_matches([',', ' ', '\t']);
        let (name, after) = split_token(text);
        let Some(after) = after.strip_prefix('=').filter(|_| !name.is_empty()) else {
            return (found, text);
        };
        let Some((value, after)) = value(after.trim_start()) else {
            return (found, "");
        };
        found.push((name.to_owned(), value));
        text = after;
    }
}

/// A token or a quoted string.
fn value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ']).unwrap_or(text.len());
        return Some((text[..end].to_owned(), &text[end..]));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, &quoted[at + 1..])),
            '\\' => value.push(characters.next()?.1),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bearer(realm: &str, service: Option<&str>, scope: Option<&str>) -> Challenge {
        Challenge::Bearer {
            realm: realm.to_owned(),
            service: service.map(str::to_owned),
            scope: scope.map(str::to_owned),
        }
    }

    #[test]
    fn the_challenges_of_real_registries_are_read() {
        for (header, expected) in [
            (
                r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/a:pull,push""#,
                bearer(
                    "https://auth.docker.io/token",
                    Some("registry.docker.io"),
                    Some("repository:library/a:pull,push"),
                ),
            ),
            (
                r#"bearer realm="https://a/t?x=1, y" , service=b"#,
                bearer("https://a/t?x=1, y", Some("b"), None),
            ),
            (r#"Basic realm="a \"b\", c""#, Challenge::Basic),
            ("BASIC", Challenge::Basic),
            (
                r#"Basic realm="x", Bearer realm="https://a/t""#,
                bearer("https://a/t", None, None),
            ),
            (
                r#"Negotiate, Digest realm="x", nonce="y", Basic realm="z""#,
                Challenge::Basic,
            ),
        ] {
            let found = Challenge::first([header].into_iter());
            assert_eq!(found, Some(expected), "{header}");
        }
    }

    #[test]
    fn what_is_no_challenge_is_none() {
        for header in [
            "",
            "=",
            "Bearer",
            "Bearer realm=\"x",
            "Digest a=b",
            ",,,",
            "\"\"",
        ] {
            assert_eq!(Challenge::first([header].into_iter()), None, "{header}");
        }
    }

    #[test]
    fn headers_of_their_own_are_searched_together() {
        let headers = ["Basic realm=\"x\"", "Bearer realm=\"https://a\""];
        let found = Challenge::first(headers.into_iter());
        assert_eq!(found, Some(bearer("https://a", None, None)));
    }
}
