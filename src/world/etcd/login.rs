//! Logs in to etcd over a new connection. Never shows the password.

use etcd_client::{Channel, Client, ConnectOptions};

use super::failure;
use crate::model::etcd::EtcdFailure;
use crate::model::store::Login;

/// Returns a client that requires a leader with every request and, if there is a login, carries a fresh token.
pub(super) async fn log_in(channel: tonic::transport::Channel, login: Option<&Login>) -> Result<Client, EtcdFailure> {
    let options = ConnectOptions::new().with_require_leader(true);
    let channel = Channel::Tonic(channel);
    let Some(login) = login else {
        return Client::from_channel(channel, Some(options)).await.map_err(|error| failure::of_error(&error));
    };
    let with_login = options.clone().with_user(&login.user, &login.password);
    match Client::from_channel(channel.clone(), Some(with_login)).await {
        // Credentials may be rolled out before authentication is enabled.
        Err(error) if failure::says_authentication_is_off(&error) => {
            Client::from_channel(channel, Some(options)).await.map_err(|error| failure::of_error(&error))
        }
        Err(error) => Err(failure::of_error(&error)),
        Ok(client) => Ok(client),
    }
}
