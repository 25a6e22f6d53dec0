//! The floor of every latency: how long etcd itself needs from a put to the event at a plain watch, with nothing of ours
//! in between. Include it with `#[path]`; it opens connections and writes to one key.

use std::time::{Duration, Instant};

use etcd_client::{Client, Error};

/// Puts `rounds` values under `key` at `endpoint`, one after the other, and gives the time from each put to its event.
pub async fn put_to_event(endpoint: &str, key: &str, rounds: usize) -> Result<Vec<Duration>, Error> {
    let mut writer = Client::connect([endpoint], None).await?;
    let mut stream = Client::connect([endpoint], None).await?.watch(key, None).await?;
    let mut times = Vec::with_capacity(rounds);
    while times.len() < rounds {
        let value = times.len().to_string();
        let start = Instant::now();
        let put = writer.put(key, value.as_str(), None);
        let event = async {
            while let Some(message) = stream.message().await? {
                let is_ours = |event: &etcd_client::Event| event.kv().is_some_and(|kv| kv.value() == value.as_bytes());
                if message.events().iter().any(is_ours) {
                    return Ok(start.elapsed());
                }
            }
            Err(Error::WatchError("etcd ended the watch".to_owned()))
        };
        let (put, time) = tokio::join!(put, event);
        put?;
        times.push(time?);
    }
    Ok(times)
}
