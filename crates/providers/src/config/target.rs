//! Where a provider is.

use url::Url;

use super::{ConfigError, ProviderConfig};

impl ProviderConfig {
    /// Where it is, as configured or as usual for its kind; the error's key stands without its
    /// place.
    pub(crate) fn base(&self) -> Result<Url, ConfigError> {
        let fail = |problem: String| ConfigError::new("base_url", problem);
        let text = self.base_url.as_deref().map(str::trim).filter(|text| !text.is_empty());
        let Some(text) = text.or_else(|| self.kind.default_base_url()) else {
            return Err(fail("must be set, such as https://api.openai.com/v1".to_owned()));
        };
        let url = Url::parse(text).map_err(|error| fail(format!("is not a URL: {error}")))?;
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
            return Err(fail("must start with http:// or https:// and name a host".to_owned()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            let problem = "must not hold a password: use `api_key` or `api_key_file`";
            return Err(fail(problem.to_owned()));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(fail("must not have a query or a fragment".to_owned()));
        }
        Ok(url)
    }
}

/// `base` with these steps added to its path, each escaped.
pub(crate) fn below<'a>(base: &Url, steps: impl IntoIterator<Item = &'a str>) -> Url {
    let mut url = base.clone();
    // An http URL has a path; `base` is checked to be one.
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(steps);
    }
    url
}
