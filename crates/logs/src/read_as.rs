//! How the lines of a source are read.

use serde::{Deserialize, Serialize};
use time::{UtcOffset, macros::format_description};

use crate::{
    LogStore,
    format::{
        Layout,
        custom::{Format, Formats},
        stamp::Clock,
    },
};

/// What is fixed of it; the rest is found out from the first lines.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadAs {
    /// The name of a format.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    format: Option<String>,
    /// The zone of timestamps that name none, in seconds east of UTC.
    #[serde(default)]
    zone_s: i32,
}

impl LogStore {
    /// Reads what somebody fixed: the name of a format of the configuration, or of those that are found
    /// by themselves, as a job tells it; and a zone such as `+02:00`.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub fn read_as(&self, format: Option<&str>, zone: Option<&str>) -> Result<ReadAs, String> {
        let formats = &self.inner.reading.formats;
        if let Some(name) = format
            && way_of(name, formats).is_none()
        {
            return Err(format!("there is no format {name:?}"));
        }
        let zone_s = match zone {
            Some(zone) => offset(zone).ok_or("a zone is an offset such as `+02:00`")?,
            None => 0,
        };
        Ok(ReadAs { format: format.map(str::to_owned), zone_s })
    }
}

fn offset(zone: &str) -> Option<i32> {
    let form = format_description!("[offset_hour sign:mandatory]:[offset_minute]");
    UtcOffset::parse(zone, form).ok().map(UtcOffset::whole_seconds)
}

fn way_of(name: &str, formats: &Formats) -> Option<(Layout, Option<Format>)> {
    let custom = formats.iter().find(|format| format.name == name).cloned();
    match custom {
        Some(custom) => Some((Layout::TEXT, Some(custom))),
        None => Layout::named(name).map(|layout| (layout, None)),
    }
}

impl ReadAs {
    /// The zone of timestamps that name none.
    pub(crate) fn zone(&self) -> UtcOffset {
        UtcOffset::from_whole_seconds(self.zone_s).unwrap_or(UtcOffset::UTC)
    }

    /// The layout, and the format of the operator's own if it is one. A format that is fixed and that
    /// the configuration has no more is found out.
    pub(crate) fn way<'a>(
        &self,
        formats: &Formats,
        sample: impl Iterator<Item = &'a [u8]> + Clone,
        clock: &Clock,
    ) -> (Layout, Option<Format>) {
        let fixed = self.format.as_deref().and_then(|name| way_of(name, formats));
        fixed.unwrap_or_else(|| {
            let custom = Format::of(formats, sample.clone());
            (Layout::detect(sample, clock), custom)
        })
    }
}
