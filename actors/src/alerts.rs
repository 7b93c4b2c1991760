//! The alert rules, as somebody makes and changes them; `watch` evaluates them.

use std::{sync::Arc, time::Duration};

use callboard_entities::{StoreError, queries::alerts};
use callboard_protocol::{
    AlertChannelList, AlertCondition, AlertRule, AlertRuleChange, AlertRuleId, ClientError,
    ErrorCode, Mute, NewAlertRule, Timestamp, UserId,
};

use crate::{
    jobs,
    notify::{Notice, Told},
    storage::store_failed,
    system::Shared,
};

/// Rules, at most.
const MOST_RULES: u64 = 200;

/// Channels of a rule.
const MOST_CHANNELS: usize = 20;

/// The longest name, in bytes.
const LONGEST_NAME: usize = 200;

/// The longest that a rule is muted.
const LONGEST_MUTE: Duration = Duration::from_secs(31 * 86_400);

/// See the module. A cheap clone.
#[derive(Clone)]
pub struct Alerts {
    shared: Arc<Shared>,
}

impl Alerts {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Who can be told.
    #[must_use]
    pub fn channels(&self) -> AlertChannelList {
        AlertChannelList { items: self.shared.notifier.channels().cloned().collect() }
    }

    /// Sends a notice of no alert to a channel, at once.
    ///
    /// # Errors
    /// `not_found` when there is no such channel, `notify_failed` when it could not be told.
    pub async fn try_channel(&self, name: &str) -> Result<(), ClientError> {
        if !self.shared.notifier.has(name) {
            return Err(ErrorCode::NotFound.into());
        }
        let notice = Notice::test(name, Timestamp::now());
        let told = Told::new(&notice, &self.shared.logs);
        self.shared.notifier.tell(&told).await.map_err(|error| error.client())
    }

    /// Makes a rule.
    ///
    /// # Errors
    /// `validation_failed`, `invalid_query`, `conflict` for a name that is taken, and that the
    /// database is away.
    pub async fn create(&self, by: UserId, new: NewAlertRule) -> Result<AlertRule, ClientError> {
        let name = checked_name(&new.name)?;
        self.check(Some(&new.condition), Some(&new.channels))?;
        let store = &self.shared.store;
        if alerts::count_rules(store).await.map_err(|error| failed(&error))? >= MOST_RULES {
            return Err(invalid(format!("There are at most {MOST_RULES} rules.")));
        }
        let new = NewAlertRule { name, ..new };
        alerts::create(store, &new, by, Timestamp::now()).await.map_err(|error| failed(&error))
    }

    /// Changes a rule. With another condition, or turned off, what fires of it is over.
    ///
    /// # Errors
    /// `not_found`, `validation_failed`, `invalid_query`, `conflict` for a name that is taken, and
    /// that the database is away.
    pub async fn change(
        &self,
        id: AlertRuleId,
        change: AlertRuleChange,
    ) -> Result<AlertRule, ClientError> {
        let name = change.name.as_deref().map(checked_name).transpose()?;
        self.check(change.condition.as_ref(), change.channels.as_deref())?;
        let change = AlertRuleChange { name, ..change };
        let changed = alerts::change(&self.shared.store, id, &change, Timestamp::now()).await;
        changed.map_err(|error| failed(&error))
    }

    /// Lets a rule tell nobody for a while; what it finds is kept all the same.
    ///
    /// # Errors
    /// `not_found`, `validation_failed`, and that the database is away.
    pub async fn mute(&self, id: AlertRuleId, mute: Mute) -> Result<AlertRule, ClientError> {
        let long = Duration::from_secs(u64::from(mute.for_s));
        if long > LONGEST_MUTE {
            return Err(invalid("A rule is muted for 31 days at most.".to_owned()));
        }
        let until = (!long.is_zero()).then(|| Timestamp::now().plus(long));
        let muted = alerts::mute(&self.shared.store, id, until).await;
        muted.map_err(|error| failed(&error))
    }

    fn check(
        &self,
        condition: Option<&AlertCondition>,
        channels: Option<&[String]>,
    ) -> Result<(), ClientError> {
        if let Some(condition) = condition {
            condition.check().map_err(|problem| invalid(problem.to_owned()))?;
            let checked = self.shared.logs.check_condition(condition);
            checked.map_err(|error| error.client_error())?;
        }
        let channels = channels.unwrap_or_default();
        if channels.len() > MOST_CHANNELS {
            return Err(invalid(format!("A rule has at most {MOST_CHANNELS} channels.")));
        }
        match channels.iter().find(|name| !self.shared.notifier.has(name)) {
            Some(unknown) => Err(invalid(format!("The configuration has no channel {unknown:?}."))),
            None => Ok(()),
        }
    }
}

fn checked_name(name: &str) -> Result<String, ClientError> {
    jobs::checked_name(name, LONGEST_NAME).map(ToOwned::to_owned).map_err(invalid)
}

fn invalid(message: String) -> ClientError {
    ClientError::new(ErrorCode::ValidationFailed, message)
}

fn failed(error: &StoreError) -> ClientError {
    store_failed("change an alert rule", error);
    error.client()
}
