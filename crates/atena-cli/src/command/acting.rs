//! Who acts on the system at the machine: one place for every command that the admin log records.

use atena_gateway::{Actor, Config, Showing, sign_in_operator};

use crate::cli::ActingArgs;
use crate::credential::Credential;
use crate::error::CliError;
use crate::holder::Holder;
use crate::home::Home;
use crate::session;

/// The operator who signed in, or the user of the process where the settings allow it.
///
/// # Errors
/// [`CliError::Operator`] and what there is to show; then nothing may be done.
pub(super) async fn actor(home: &Home, config: &Config, acting: &ActingArgs) -> Result<Actor, CliError> {
    let Some(who) = &acting.who else { return Ok(sign_in_operator(config, None).await?) };
    let holder = Holder::parse(who);
    match &holder {
        Holder::Person(account) => {
            let key = Credential::of(home, &holder)?.certified()?;
            Ok(sign_in_operator(config, Some(Showing::Certificate { account, key: &key })).await?)
        }
        Holder::System(console) => {
            let token = session::read(home, console)?;
            let token = token.ok_or_else(|| CliError::NobodySignedIn { console: console.clone() })?;
            session::announce(home, &token);
            Ok(sign_in_operator(config, Some(Showing::SignIn { console, token: token.expose() })).await?)
        }
    }
}

/// Of what a timer does as well: whoever says who they are has to prove it, and nobody has to say.
pub(super) async fn unattended(home: &Home, config: &Config, acting: &ActingArgs) -> Result<Actor, CliError> {
    match acting.who {
        Some(_) => actor(home, config, acting).await,
        None => Ok(Actor::of_process()),
    }
}
