//! Threads for connections whose guests compute. The kernel runs them when the processor has
//! nothing else to do, so that whoever only moves bytes does not feel who computes.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use crate::account::Account;

/// For how long a connection stays that comes for the first time, and each time twice as long: one
/// that computes again and again has little of the other threads' time.
const STAY: Duration = Duration::from_secs(1);

/// The longest stay.
const LONGEST: Duration = Duration::from_secs(64);

/// The threads, as many as the runtime has that they belong to.
#[derive(Debug)]
pub(crate) struct Background {
    /// There until the end.
    threads: Option<Runtime>,
    /// Whose timers, sockets and tasks those are that a connection uses.
    home: Handle,
}

/// The work of one connection.
type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Background {
    /// Starts the threads, for the runtime that this is called in. Fails where the machine has no
    /// threads left.
    pub(crate) fn start() -> io::Result<Self> {
        let home = Handle::current();
        let threads = Builder::new_multi_thread()
            .worker_threads(home.metrics().num_workers())
            .thread_name("background")
            .on_thread_start(give_way)
            .build()?;
        Ok(Self { threads: Some(threads), home })
    }

    /// Does the work of a connection: here, and on the threads from when its guest has used up a
    /// slice until it waits for something and has stayed there for a while.
    pub(crate) async fn serve(&self, account: &Arc<Account>, mut work: Work) {
        let mut stay = STAY;
        loop {
            let mut computes = false;
            poll_fn(|cx| {
                let polled = work.as_mut().poll(cx);
                computes = polled.is_pending() && account.has_used_up_slice();
                if computes { Poll::Ready(()) } else { polled }
            })
            .await;
            if !computes {
                return;
            }
            let Some(threads) = &self.threads else { return };
            let home = self.home.clone();
            let until = Instant::now() + stay;
            let there = there(work, Arc::clone(account), home, until);
            work = match ended(threads.spawn(there)).await {
                Some(work) => work,
                None => return,
            };
            stay = LONGEST.min(2 * stay);
        }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // Who drops it may be a task, which must not wait for threads to end.
        if let Some(threads) = self.threads.take() {
            threads.shutdown_background();
        }
    }
}

/// Does the work on one of the threads; gives back what is left of it when it is time to.
async fn there(work: Work, account: Arc<Account>, home: Handle, until: Instant) -> Option<Work> {
    let mut left = Some(work);
    poll_fn(|cx| {
        let Some(work) = &mut left else { return Poll::Ready(None) };
        // What the connection begins here, such as a timer, belongs to the other runtime.
        let _home = home.enter();
        match work.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(None),
            Poll::Pending if !account.has_used_up_slice() && until <= Instant::now() => {
                Poll::Ready(left.take())
            }
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// What is left of the work that `task` does; a panic goes on here.
async fn ended(task: JoinHandle<Option<Work>>) -> Option<Work> {
    // Whoever does not wait for it any more does not want it done.
    match AbortOnDropHandle::new(task).await {
        Ok(left) => left,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The threads have ended.
            Err(_) => None,
        },
    }
}

/// Makes the calling thread one that runs when no other wants to (`SCHED_IDLE`, sched(7)). It works
/// as any other where the kernel refuses.
#[cfg(target_os = "linux")]
fn give_way() {
    use thread_priority::ThreadPriority;
    use thread_priority::unix::{
        NormalThreadSchedulePolicy, ThreadSchedulePolicy, set_thread_priority_and_policy,
        thread_native_id,
    };

    let idle = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
    if let Err(error) =
        set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, idle)
    {
        tracing::warn!("guests that compute have the same priority as others: {error}");
    }
}

#[cfg(not(target_os = "linux"))]
fn give_way() {}

#[cfg(test)]
mod tests {
    use std::thread;

    use tokio::sync::{mpsc, oneshot};
    use tokio::time::advance;

    use super::*;

    fn is_there() -> bool {
        thread::current().name() == Some("background")
    }

    /// Computes for a slice.
    async fn computes(account: &Account) {
        account.uses_up_slice();
        tokio::task::yield_now().await;
    }

    #[tokio::test(start_paused = true)]
    async fn who_computes_goes_there_until_it_waits_after_its_stay_and_the_next_is_longer() {
        let background = Arc::new(Background::start().unwrap());
        let account = Arc::new(Account::new(1));
        // It waits for its peer, computes if it is told to, and says where it is then. No timer
        // wakes it, so time passes only where the test says so.
        let (peer, mut asked) = mpsc::unbounded_channel();
        let (says, mut said) = mpsc::unbounded_channel();
        let its = Arc::clone(&account);
        let work = async move {
            while let Some(is_to_compute) = asked.recv().await {
                if is_to_compute {
                    computes(&its).await;
                }
                says.send(is_there()).unwrap();
            }
        };
        tokio::spawn(async move { background.serve(&account, Box::pin(work)).await });
        let mut where_is_it = async |is_to_compute| {
            peer.send(is_to_compute).unwrap();
            said.recv().await.unwrap()
        };
        for stay in [STAY, 2 * STAY, 4 * STAY] {
            assert!(where_is_it(true).await);
            advance(stay / 2).await;
            assert!(where_is_it(true).await);
            advance(stay / 4).await;
            assert!(where_is_it(false).await);
            advance(stay / 4).await;
            // It comes back when it waits the next time, which is not while it is asked.
            let mut asked = 0;
            while where_is_it(false).await {
                asked += 1;
                assert!(asked < 1_000_000);
            }
        }
    }

    #[tokio::test]
    async fn what_panics_there_panics_here() {
        let background = Arc::new(Background::start().unwrap());
        let account = Arc::new(Account::new(1));
        let its = Arc::clone(&account);
        let work = async move {
            computes(&its).await;
            assert!(!is_there(), "on purpose");
        };
        let serving = tokio::spawn(async move { background.serve(&account, Box::pin(work)).await });
        assert!(serving.await.unwrap_err().is_panic());
    }

    #[tokio::test]
    async fn work_that_nobody_waits_for_is_dropped_wherever_it_is() {
        let background = Arc::new(Background::start().unwrap());
        let account = Arc::new(Account::new(1));
        let (is_in_it, dropped) = oneshot::channel::<()>();
        let (begins, begun) = oneshot::channel();
        let its = Arc::clone(&account);
        let work = async move {
            let _is_in_it = is_in_it;
            computes(&its).await;
            begins.send(is_there()).unwrap();
            std::future::pending::<()>().await;
        };
        let serving = tokio::spawn(async move { background.serve(&account, Box::pin(work)).await });
        assert_eq!(begun.await, Ok(true));
        serving.abort();
        assert!(dropped.await.is_err());
    }
}
