//! Something that takes a while to drop, and is dropped where nobody waits for it.

use std::ops::Deref;

use tokio::runtime::Handle;

/// A value that is dropped on a thread that serves nobody, also where the last one who has it is a
/// connection.
#[derive(Debug)]
pub(crate) struct Heavy<T: Send + 'static>(Option<T>);

impl<T: Send> Heavy<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(Some(value))
    }
}

impl<T: Send> Deref for Heavy<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_ref().expect("only its end takes it")
    }
}

impl<T: Send> Drop for Heavy<T> {
    fn drop(&mut self) {
        let value = self.0.take();
        // Outside of a runtime there are no connections to keep waiting.
        if let Ok(runtime) = Handle::try_current() {
            drop(runtime.spawn_blocking(move || drop(value)));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Sender, channel};
    use std::thread::{ThreadId, current};

    use super::*;

    struct TellsWhere(Sender<ThreadId>);

    impl Drop for TellsWhere {
        fn drop(&mut self) {
            let _ = self.0.send(current().id());
        }
    }

    #[test]
    fn what_is_heavy_is_dropped_on_another_thread_where_there_is_a_runtime() {
        let (tell, told) = channel();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async { drop(Heavy::new(TellsWhere(tell.clone()))) });
        assert_ne!(told.recv().unwrap(), current().id());
        drop(Heavy::new(TellsWhere(tell)));
        assert_eq!(told.recv().unwrap(), current().id());
    }
}
