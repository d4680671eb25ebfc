//! The threads of UDP sockets, each with a runtime of its own: a loop that is run here is not handed
//! from thread to thread, which costs more than a datagram.

use std::io;
use std::num::NonZero;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;

use tokio::runtime::{Builder, EnterGuard, Handle};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Threads at most, however many processors there are: each needs three of the descriptors that are
/// not for connections.
const MOST: usize = 16;

/// Those that there are, as many as processors at most: sockets beyond that share them.
static THREADS: Mutex<Vec<Weak<Thread>>> = Mutex::new(Vec::new());

/// A thread, and what runs on it. It ends with the last who has this.
#[derive(Debug)]
pub(super) struct Thread {
    runtime: Handle,
    _until: oneshot::Sender<()>,
}

impl Thread {
    /// One that has few sockets. Fails where the machine gives no thread, or no descriptors for it.
    pub(super) fn find() -> io::Result<Arc<Self>> {
        let most = thread::available_parallelism().map_or(1, NonZero::get).min(MOST);
        let mut threads = THREADS.lock().unwrap_or_else(PoisonError::into_inner);
        threads.retain(|thread| thread.strong_count() > 0);
        if threads.len() >= most
            && let Some(thread) = threads.iter().min_by_key(|thread| thread.strong_count())
            && let Some(thread) = thread.upgrade()
        {
            return Ok(thread);
        }
        let thread = Arc::new(Self::start()?);
        threads.push(Arc::downgrade(&thread));
        Ok(thread)
    }

    fn start() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
        let handle = runtime.handle().clone();
        let (until, ends) = oneshot::channel::<()>();
        thread::Builder::new().name("udp".into()).spawn(move || {
            // Nothing is ever sent.
            let _ = runtime.block_on(ends);
            runtime.shutdown_background();
        })?;
        Ok(Self { runtime: handle, _until: until })
    }

    /// What begins while this is there, sockets and timers, belongs to the thread.
    pub(super) fn enter(&self) -> EnterGuard<'_> {
        self.runtime.enter()
    }

    /// Runs a task there.
    pub(super) fn spawn<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        self.runtime.spawn(task)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn sockets_share_threads_and_the_last_one_ends_its_own() {
        let found: Vec<_> = (0..3 * MOST).map(|_| Thread::find().unwrap()).collect();
        let mut different: Vec<_> = found.iter().map(Arc::as_ptr).collect();
        different.sort_unstable();
        different.dedup();
        let most = thread::available_parallelism().unwrap().get().min(MOST);
        assert!((1..=most).contains(&different.len()), "{} of {most}", different.len());
        let named = found[0].spawn(async { thread::current().name().map(str::to_owned) });
        assert_eq!(named.await.unwrap().unwrap(), "udp");
        let runtimes: Vec<_> = found.iter().map(|thread| thread.runtime.clone()).collect();
        drop(found);
        for runtime in runtimes {
            // It takes tasks until it is gone.
            while runtime.spawn(async {}).await.is_ok() {}
        }
    }
}
