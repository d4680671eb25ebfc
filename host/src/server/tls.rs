//! How listeners come to TLS: profiles are loaded, put into service, and replaced.

use std::sync::Arc;

use super::error::StartError;
use super::listener::Listener;
use super::serve::Tls;
use super::{Profiles, Server};
use crate::config::{Config, ListenerConfig, TlsStart};
use crate::listener::{Handshaking, Life};
use crate::tls::Profile;

impl Server {
    /// Reads the certificates of all listeners that have TLS in `config`, or says all that is wrong
    /// with them. What has not changed stays as it is.
    pub(super) async fn load_profiles(&self, config: &Config) -> Result<Profiles, StartError> {
        let mut profiles = Profiles::new();
        let mut wrong = Vec::new();
        for listener in &config.listeners {
            if listener.tls.is_none() {
                continue;
            }
            let old = self.profiles.get(&listener.name).map(Arc::clone);
            let listener = Arc::clone(listener);
            // It reads files and computes: not on a thread that serves connections.
            let loading = tokio::task::spawn_blocking(move || {
                let tls = listener.tls.as_ref()?;
                let loaded = Profile::load(tls, old.as_deref());
                Some((listener.name.clone(), loaded))
            });
            match loading.await.map_err(StartError::Loading)? {
                Some((name, Ok(profile))) => {
                    for warning in profile.warnings() {
                        tracing::warn!("{name}: {warning}");
                    }
                    profiles.insert(name, Arc::new(profile));
                }
                Some((_, Err(errors))) => wrong.push(errors),
                None => {}
            }
        }
        if wrong.is_empty() { Ok(profiles) } else { Err(StartError::Tls(wrong)) }
    }

    /// How the streams of a listener come to TLS; `None` if they are to, and nothing was loaded.
    pub(super) fn tls(&self, config: &ListenerConfig, life: &Arc<Life>) -> Option<Tls> {
        let Some(tls) = &config.tls else { return Some(Tls::Never) };
        let profile = Arc::clone(self.profiles.get(&config.name)?);
        let handshaking = Arc::new(Handshaking::new(config, tls, profile, Arc::clone(life)));
        Some(match tls.start {
            TlsStart::Connect => Tls::First(handshaking),
            TlsStart::Request => Tls::OnRequest(handshaking),
        })
    }

    /// Handshakes of a listener that runs go by its profile as it is now.
    pub(super) fn renew(&self, listener: &Listener, tls: &Tls) {
        let (Tls::First(handshaking) | Tls::OnRequest(handshaking)) = tls else { return };
        if let Some(profile) = self.profiles.get(&listener.config.name) {
            handshaking.replace(Arc::clone(profile));
        }
    }
}
