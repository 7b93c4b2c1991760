//! Which names stand before secrets: `db_password`, `clientSecret`, `X-Api-Key`.

/// What may stand behind a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// A password, whatever it looks like.
    Password,
    /// A key or a secret, whatever it looks like.
    Strong,
    /// A secret as a rule, but the name has other uses: `token`, `secret`, `pass`.
    Weak,
    /// A secret only if it looks like one: `auth`, `credential`.
    Doubtful,
    /// The identifier of a browser's session.
    Session,
    /// The same under a name that has other uses: `session`, `sid`.
    DoubtfulSession,
    /// The header `Authorization`.
    Authorization,
    /// The headers `Cookie` and `Set-Cookie`.
    Cookies,
}

/// What makes a `key` a secret.
const SECRET_KEYS: [&str; 13] = [
    "api",
    "access",
    "secret",
    "private",
    "account",
    "encryption",
    "signing",
    "master",
    "shared",
    "subscription",
    "auth",
    "service",
    "admin",
];
/// The same in one word.
const JOINED_KEYS: [&str; 9] = [
    "apikey",
    "accesskey",
    "secretkey",
    "privatekey",
    "accountkey",
    "authkey",
    "masterkey",
    "signingkey",
    "encryptionkey",
];
/// What makes a `token` none that anybody could use.
const HARMLESS_TOKENS: [&str; 16] = [
    "next",
    "page",
    "continuation",
    "cancellation",
    "sync",
    "resume",
    "pagination",
    "unexpected",
    "delegation",
    "max",
    "stop",
    "eos",
    "bos",
    "pad",
    "last",
    "per",
];

/// Reads a name; `None` if it says nothing of a secret.
pub(crate) fn class_of(name: &str) -> Option<Class> {
    let words = words(name);
    let last = words.last()?.trim_end_matches(|char: char| char.is_ascii_digit());
    let before = words.len().checked_sub(2).map_or("", |index| words[index].as_str());
    let flat = words.concat();
    match flat.as_str() {
        "authorization" | "proxyauthorization" | "xauthorization" => {
            return Some(Class::Authorization);
        }
        "cookie" | "setcookie" | "cookies" => return Some(Class::Cookies),
        "jsessionid" | "phpsessid" | "connectsid" | "aspnetsessionid" | "sessioncookie" => {
            return Some(Class::Session);
        }
        "callboardaccess" | "callboardrefresh" | "callboardcsrf" => return Some(Class::Session),
        "session" | "sessionid" | "sid" | "sessid" | "sess" => return Some(Class::DoubtfulSession),
        _ => {}
    }
    let ends = |ends: &[&str]| ends.iter().any(|end| last.ends_with(end));
    if ends(&["password", "passwd", "passphrase", "passwort", "pwd"]) || last == "passcode" {
        return Some(Class::Password);
    }
    if last == "pass" {
        return Some(if before.is_empty() { Class::Weak } else { Class::Password });
    }
    if JOINED_KEYS.iter().any(|key| last.ends_with(key))
        || (last == "key" && SECRET_KEYS.contains(&before))
        || flat.ends_with("clientsecret")
    {
        return Some(Class::Strong);
    }
    if last.ends_with("secret") || (last.ends_with("token") && !HARMLESS_TOKENS.contains(&before)) {
        return Some(Class::Weak);
    }
    matches!(last, "auth" | "credential" | "credentials").then_some(Class::Doubtful)
}

/// The words of a name in lower case, parted at marks and at changes of case.
fn words(name: &str) -> Vec<String> {
    let bytes = name.as_bytes();
    let mut words: Vec<String> = Vec::new();
    let mut open = false;
    for (index, byte) in bytes.iter().enumerate() {
        if !byte.is_ascii_alphanumeric() {
            open = false;
            continue;
        }
        let before = index.checked_sub(1).map(|index| bytes[index]);
        let rises = byte.is_ascii_uppercase() && before.is_some_and(|b| b.is_ascii_lowercase());
        // The last capital of `APIKey` begins a word.
        let turns = byte.is_ascii_uppercase()
            && before.is_some_and(|before| before.is_ascii_uppercase())
            && bytes.get(index + 1).is_some_and(u8::is_ascii_lowercase);
        let lower = char::from(byte.to_ascii_lowercase());
        match words.last_mut() {
            Some(word) if open && !rises && !turns => word.push(lower),
            _ => words.push(lower.to_string()),
        }
        open = true;
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_apart() {
        for (name, class) in [
            ("password", Some(Class::Password)),
            ("DB_PASSWORD", Some(Class::Password)),
            ("spring.datasource.password", Some(Class::Password)),
            ("userPassword2", Some(Class::Password)),
            ("pass", Some(Class::Weak)),
            ("smtp_pass", Some(Class::Password)),
            ("APIKey", Some(Class::Strong)),
            ("x-api-key", Some(Class::Strong)),
            ("aws_secret_access_key", Some(Class::Strong)),
            ("clientSecret", Some(Class::Strong)),
            ("token", Some(Class::Weak)),
            ("refreshToken", Some(Class::Weak)),
            ("JSESSIONID", Some(Class::Session)),
            ("Set-Cookie", Some(Class::Cookies)),
            ("tokens", None),
            ("max_tokens", None),
            ("nextPageToken", None),
            ("token_type", None),
            ("key", None),
            ("primary_key", None),
            ("public_key", None),
            ("passed", None),
            ("bypass_count", None),
            ("author", None),
            ("secretName", None),
            ("access_key_id", None),
        ] {
            assert_eq!(class_of(name), class, "{name}");
        }
    }
}
