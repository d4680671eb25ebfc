//! What a server is about while it does nothing else, for whoever waits for it.

use std::sync::{Arc, Mutex, PoisonError};

/// What a server is about.
#[derive(Debug, Default)]
pub(super) struct About(Mutex<Option<&'static str>>);

/// Something that a server is about, until this is dropped.
#[derive(Debug)]
pub(super) struct Doing(Arc<About>);

impl About {
    /// From now on it is this, in words that follow "the server".
    pub(super) fn begins(self: &Arc<Self>, what: &'static str) -> Doing {
        self.set(Some(what));
        Doing(Arc::clone(self))
    }

    /// What it is about now, if others have to wait for that.
    pub(super) fn now(&self) -> Option<&'static str> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, what: Option<&'static str>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = what;
    }
}

impl Drop for Doing {
    fn drop(&mut self) {
        self.0.set(None);
    }
}
