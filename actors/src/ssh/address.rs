//! What is followed on another machine: `ssh://user@host:port/folder/name*.log`.

use std::fmt;

use glob::Pattern;

/// Where OpenSSH listens.
const PORT: u16 = 22;

/// Where an address of another machine begins.
const SCHEME: &str = "ssh://";

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(super) user: String,
    pub(super) host: String,
    pub(super) port: u16,
    /// Without a slash at its end, unless it is the root.
    pub(super) folder: String,
    /// The names of files in it.
    pub(super) names: Pattern,
}

/// Why it is none.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AddressError {
    #[error("it has the form ssh://user@host/path or ssh://user@host:port/path")]
    Form,
    #[error("only the name of the file may hold `*`, `?` and `[`, and not the folders")]
    Folders,
    #[error("the name is no pattern: {0}")]
    Pattern(&'static str),
}

impl Address {
    /// Whether a path leads to another machine.
    pub(crate) fn is_meant(path: &str) -> bool {
        path.starts_with(SCHEME)
    }

    /// Reads it.
    ///
    /// # Errors
    /// When it has another form, or a pattern where none may be.
    pub(crate) fn parse(text: &str) -> Result<Self, AddressError> {
        let rest = text.strip_prefix(SCHEME).ok_or(AddressError::Form)?;
        let (authority, path) = rest.split_once('/').ok_or(AddressError::Form)?;
        let (user, host) = authority.split_once('@').ok_or(AddressError::Form)?;
        let (host, port) = host_and_port(host).ok_or(AddressError::Form)?;
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let is_plain = |part: &str, also: &str| {
            let allowed = |c: char| c.is_ascii_alphanumeric() || also.contains(c);
            !part.is_empty() && !part.starts_with('-') && part.chars().all(allowed)
        };
        if !is_plain(user, "._-") || !is_plain(host, ".-:_") || name.is_empty() {
            return Err(AddressError::Form);
        }
        if text.chars().any(char::is_control) || folder.split('/').any(|part| part == "..") {
            return Err(AddressError::Form);
        }
        if folder.contains(['*', '?', '[']) {
            return Err(AddressError::Folders);
        }
        let names = Pattern::new(name).map_err(|error| AddressError::Pattern(error.msg))?;
        let (user, host) = (user.to_owned(), host.to_owned());
        Ok(Self { user, host, port, folder: format!("/{folder}"), names })
    }

    /// The path of a file of the folder.
    pub(super) fn path_of(&self, name: &str) -> String {
        format!("{}/{name}", self.folder.trim_end_matches('/'))
    }

    /// What a file of the folder is called everywhere.
    pub(super) fn source_of(&self, name: &str) -> String {
        format!("{SCHEME}{self}{}", self.path_of(name))
    }
}

/// `user@host`, with the port where it is not the usual one.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@", self.user)?;
        if self.host.contains(':') {
            write!(f, "[{}]", self.host)
        } else {
            f.write_str(&self.host)
        }?;
        if self.port == PORT { Ok(()) } else { write!(f, ":{}", self.port) }
    }
}

/// `host`, `host:port`, `[v6]` or `[v6]:port`.
fn host_and_port(text: &str) -> Option<(&str, u16)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']')?;
        let port = if rest.is_empty() { PORT } else { rest.strip_prefix(':')?.parse().ok()? };
        return Some((host, port));
    }
    match text.split_once(':') {
        Some((host, port)) => Some((host, port.parse().ok()?)),
        None => Some((text, PORT)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_named_by_its_machine_and_its_path() {
        for (text, shown, path) in [
            ("ssh://logs@web1/var/log/app/*.log", "logs@web1", "/var/log/app/a.log"),
            ("ssh://logs@web1:22/app.log", "logs@web1", "/a.log"),
            ("ssh://l_1@10.0.0.7:2222/v/app-?.log", "l_1@10.0.0.7:2222", "/v/a.log"),
            ("ssh://logs@[fe80::1]:2222/v/x", "logs@[fe80::1]:2222", "/v/a.log"),
        ] {
            let address = Address::parse(text).unwrap();
            assert_eq!((address.to_string().as_str(), &*address.path_of("a.log")), (shown, path));
            assert_eq!(address.source_of("a.log"), format!("ssh://{shown}{path}"));
        }
        assert!(Address::parse("ssh://l@h/v/app-?.log").unwrap().names.matches("app-1.log"));
    }

    #[test]
    fn what_is_no_address_says_why() {
        for text in [
            "ssh://",
            "ssh://web1/var/log/app.log",
            "ssh://logs@web1",
            "ssh://logs@web1/var/log/",
            "ssh://logs:secret@web1/app.log",
            "ssh://logs@web1:none/app.log",
            "ssh://logs@[::1/app.log",
            "ssh://-oProxyCommand=x@web1/app.log",
            "ssh://logs@-x/app.log",
            "ssh://logs@web1/var/../etc/shadow",
            "ssh://logs@web1/a\nb",
        ] {
            assert_eq!(Address::parse(text), Err(AddressError::Form), "{text:?}");
        }
        assert_eq!(Address::parse("ssh://l@h/v/*/a.log"), Err(AddressError::Folders));
        assert!(matches!(Address::parse("ssh://l@h/v/[a"), Err(AddressError::Pattern(_))));
    }
}
