//! A provider behind TLS, over HTTP/2 where it is offered: what vendors have in front of theirs.

use std::{collections::BTreeSet, sync::Arc};

use callboard_providers::{Client, ProviderConfig};
use callboard_testkit::{FakeVendor, Nginx, Reply};
use futures_util::{StreamExt as _, future::join_all};

use crate::harness::{ask, config, question};

/// Streams at once.
const STREAMS: usize = 40;

async fn behind_tls(vendor: &FakeVendor) -> Option<(Nginx, ProviderConfig)> {
    let plain = config(vendor);
    let url = vendor.base_url();
    let (host, path) = url.trim_start_matches("http://").split_once('/').unwrap();
    let nginx = Nginx::before(host).await?;
    let config = ProviderConfig {
        base_url: Some(format!("{}/{path}", nginx.url())),
        ca_file: Some(nginx.place().certificate.clone()),
        ..plain
    };
    Some((nginx, config))
}

#[tokio::test]
async fn streams_share_a_connection_and_one_that_is_not_read_stops_no_other() {
    let vendor = FakeVendor::start().await;
    let Some((nginx, config)) = behind_tls(&vendor).await else { return };
    let client = Arc::new(Client::new(&config).unwrap());
    // As long as nobody reads it, it fills all that its stream may hold, and more.
    vendor.script([Reply::endless()]);
    let mut unread = client.complete(&question()).await.unwrap();
    assert!(unread.next().await.unwrap().is_ok());
    vendor.always(Reply::text(&["All", " is", " well."]));
    let asked = (0..STREAMS).map(|_| ask(&client, question()));
    for outcome in join_all(asked).await {
        assert_eq!(outcome.text(), "All is well.");
        outcome.reason();
    }
    drop(unread);
    vendor.until_left(1).await;
    let requests = nginx.requests();
    assert!(requests.len() >= STREAMS, "{requests:?}");
    assert!(requests.iter().all(|(_, protocol)| protocol == "HTTP/2.0"), "{requests:?}");
    let connections: BTreeSet<_> = requests.iter().map(|(connection, _)| connection).collect();
    assert_eq!(connections.len(), 1, "{requests:?}");
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_refused() {
    let vendor = FakeVendor::start().await;
    vendor.always(Reply::text(&["no"]));
    let Some((_nginx, config)) = behind_tls(&vendor).await else { return };
    let client = Client::new(&ProviderConfig { ca_file: None, ..config }).unwrap();
    let outcome = ask(&client, question()).await;
    assert!(outcome.end.is_err());
    assert!(outcome.cause().contains("certificate"), "{}", outcome.cause());
    assert_eq!(vendor.request_count(), 0);
}
