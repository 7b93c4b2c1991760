//! The channel that takes e-mails.

use std::time::Duration;

use callboard_protocol::Timestamp;
use lettre::{
    AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor,
    message::{Mailbox, header::ContentType},
    transport::smtp::{
        authentication::Credentials,
        client::{Tls, TlsParameters},
    },
};
use secrecy::ExposeSecret as _;

use super::{ChannelConfig, NotTold, SmtpConfig, SmtpTls, Told};

/// The longest step of the talk with the mail server.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Whether mail can be sent there: `ops@example.org`, `Operations <ops@example.org>`.
pub(super) fn is_address(text: &str) -> bool {
    text.parse::<Mailbox>().is_ok()
}

/// One such channel.
pub(super) struct Mailer {
    server: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    to: Vec<Mailbox>,
}

impl Mailer {
    pub(super) fn new(channel: &ChannelConfig, smtp: &SmtpConfig) -> Result<Self, String> {
        let parse = |text: &String| {
            text.parse::<Mailbox>().map_err(|error| format!("{text} is no e-mail address: {error}"))
        };
        let parameters = || {
            TlsParameters::new(smtp.host.clone()).map_err(|error| format!("alerts.smtp: {error}"))
        };
        let (tls, port) = match smtp.tls {
            SmtpTls::Starttls => (Tls::Required(parameters()?), 587),
            SmtpTls::Tls => (Tls::Wrapper(parameters()?), 465),
            SmtpTls::None => (Tls::None, 25),
        };
        let mut server = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&smtp.host)
            .port(smtp.port.unwrap_or(port))
            .tls(tls)
            .timeout(Some(TIMEOUT));
        if let (Some(username), Some(password)) = (&smtp.username, &smtp.password) {
            let password = password.expose_secret().to_owned();
            server = server.credentials(Credentials::new(username.clone(), password));
        }
        Ok(Self {
            server: server.build(),
            from: parse(&smtp.from)?,
            to: channel.to.iter().map(parse).collect::<Result<_, _>>()?,
        })
    }

    pub(super) async fn tell(&self, told: &Told<'_>) -> Result<(), NotTold> {
        let message = self.message(told).map_err(|error| {
            NotTold::for_good(format!("The mail could not be written: {error}."))
        })?;
        match self.server.send(message).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_permanent() => {
                Err(NotTold::for_good("The mail server refused it for good."))
            }
            Err(error) if error.is_transient() => {
                Err(NotTold::for_now("The mail server refused it for now."))
            }
            Err(error) if error.is_timeout() => {
                Err(NotTold::for_now("The mail server did not answer in time."))
            }
            Err(_) => Err(NotTold::for_now("The mail server could not be reached.")),
        }
    }

    fn message(&self, told: &Told<'_>) -> Result<Message, lettre::error::Error> {
        let notice = told.notice;
        let domain = self.from.email.domain();
        let mut message = Message::builder()
            // The same whenever it is sent again.
            .message_id(Some(format!("<{}@{domain}>", notice.id)))
            .from(self.from.clone())
            .subject(notice.title())
            .header(ContentType::TEXT_PLAIN);
        for to in &self.to {
            message = message.to(to.clone());
        }
        let at: Timestamp = notice.at;
        message.body(format!("{}\n\n{}\n{at}\n", notice.title(), told.text()))
    }
}
