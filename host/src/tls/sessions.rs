//! What lets clients resume their sessions.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::{ProducesTickets, ServerSessionMemoryCache, StoresServerSessions};

use super::provider;

/// How many sessions a certificate remembers, for clients of TLS 1.2 that take no tickets.
const REMEMBERED: usize = 256;

/// The sessions of one certificate. They are never shared: a session of one certificate or of
/// clients that nobody has checked must not be resumed with another.
#[derive(Clone)]
pub(super) struct Sessions {
    pub(super) storage: Arc<dyn StoresServerSessions>,
    pub(super) tickets: Arc<dyn ProducesTickets>,
}

impl Sessions {
    pub(super) fn new() -> Result<Self, rustls::Error> {
        let tickets = provider::tickets()?;
        Ok(Self { storage: ServerSessionMemoryCache::new(REMEMBERED), tickets })
    }
}

/// As `server`, but every session is new; it can be resumed later, as usual.
pub(super) fn anew(server: &ServerConfig) -> ServerConfig {
    let mut anew = server.clone();
    anew.session_storage = Arc::new(OnlyNew(Arc::clone(&server.session_storage)));
    anew.ticketer = Arc::new(OnlyNew(Arc::clone(&server.ticketer)));
    anew
}

/// Takes what is new, and knows nothing of what was before.
#[derive(Debug)]
struct OnlyNew<T>(T);

impl StoresServerSessions for OnlyNew<Arc<dyn StoresServerSessions>> {
    fn put(&self, key: Vec<u8>, value: Vec<u8>) -> bool {
        self.0.put(key, value)
    }

    fn get(&self, _key: &[u8]) -> Option<Vec<u8>> {
        None
    }

    fn take(&self, _key: &[u8]) -> Option<Vec<u8>> {
        None
    }

    fn can_cache(&self) -> bool {
        self.0.can_cache()
    }
}

impl ProducesTickets for OnlyNew<Arc<dyn ProducesTickets>> {
    fn enabled(&self) -> bool {
        self.0.enabled()
    }

    fn lifetime(&self) -> u32 {
        self.0.lifetime()
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.0.encrypt(plain)
    }

    fn decrypt(&self, _cipher: &[u8]) -> Option<Vec<u8>> {
        None
    }
}
