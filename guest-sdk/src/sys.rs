//! The seam to the host: the imports of `portcell_v1` on wasm, the in-memory pipe elsewhere.
//!
//! Both sides offer a `Handle` with one method for each import and the same results, so that
//! nothing above this module knows where it runs, and a `Room` for bytes in a static. The only module
//! with `unsafe`.

#[cfg(target_family = "wasm")]
pub(crate) use host::{Guard, Handle, Room, log};

#[cfg(not(target_family = "wasm"))]
pub(crate) use crate::pipe::{Guard, Handle, Room, log};

#[cfg(target_family = "wasm")]
mod host {
    #![expect(unsafe_code, reason = "imports are foreign functions")]

    use core::arch::wasm32;
    use core::cell::{Cell, UnsafeCell};
    use core::ops::{Deref, DerefMut};
    use core::time::Duration;

    use portcell_abi::{CONNECTION, level};

    use crate::error::{Error, count};

    // Pointers and lengths are `i32` in the contract, which is what they are on wasm32.
    const _: () = assert!(size_of::<usize>() == 4);

    mod imports {
        use super::Record;

        #[link(wasm_import_module = "portcell_v1")]
        unsafe extern "C" {
            pub(super) fn read(fd: i32, buf: *mut u8, len: usize) -> i32;
            pub(super) fn write(fd: i32, buf: *const u8, len: usize) -> i32;
            pub(super) fn shutdown(fd: i32, how: i32) -> i32;
            pub(super) fn close(fd: i32) -> i32;
            pub(super) fn poll(ptr: *mut Record, n: u32, timeout_ms: i32) -> i32;
            pub(super) fn set_timeout(fd: i32, which: i32, ms: i32) -> i32;
            pub(super) fn info(name: *const u8, name_len: usize, buf: *mut u8, len: usize) -> i32;
            pub(super) fn log(level: i32, ptr: *const u8, len: usize) -> i32;
            pub(super) fn start_tls(
                fd: i32,
                profile: *const u8,
                profile_len: usize,
                reply: *const u8,
                reply_len: usize,
            ) -> i32;
        }
    }

    /// One record of `poll`, as the contract lays it out.
    #[repr(C)]
    struct Record {
        fd: i32,
        events: u16,
        revents: u16,
    }

    /// A descriptor of the host.
    #[derive(Clone, Debug)]
    pub(crate) struct Handle {
        fd: i32,
    }

    impl Handle {
        /// The connection that this instance was made for.
        pub(crate) fn connection() -> Self {
            Self { fd: CONNECTION }
        }

        pub(crate) fn read(&self, buf: &mut [u8]) -> Result<usize, Error> {
            // SAFETY: the host writes at most `len` bytes at `buf`, which is ours to write.
            let length = count(unsafe { imports::read(self.fd, buf.as_mut_ptr(), buf.len()) })?;
            // It is not more, but the compiler cannot know that, and would check it where a handler
            // cuts out what it has read.
            Ok(length.min(buf.len()))
        }

        pub(crate) fn write(&self, buf: &[u8]) -> Result<usize, Error> {
            // SAFETY: the host reads at most `len` bytes at `buf`.
            count(unsafe { imports::write(self.fd, buf.as_ptr(), buf.len()) })
        }

        pub(crate) fn shutdown(&self, how: i32) -> Result<(), Error> {
            // SAFETY: no memory is involved.
            count(unsafe { imports::shutdown(self.fd, how) }).map(drop)
        }

        pub(crate) fn close(&self) -> Result<(), Error> {
            // SAFETY: no memory is involved.
            count(unsafe { imports::close(self.fd) }).map(drop)
        }

        pub(crate) fn poll(&self, events: u16, timeout: Option<Duration>) -> Result<u16, Error> {
            let mut record = Record { fd: self.fd, events, revents: 0 };
            // SAFETY: the host reads and writes one record, which is ours.
            count(unsafe { imports::poll(&raw mut record, 1, milliseconds(timeout)) })?;
            Ok(record.revents)
        }

        pub(crate) fn set_timeout(
            &self,
            which: i32,
            timeout: Option<Duration>,
        ) -> Result<(), Error> {
            // SAFETY: no memory is involved.
            count(unsafe { imports::set_timeout(self.fd, which, milliseconds(timeout)) }).map(drop)
        }

        #[expect(clippy::unused_self, reason = "off wasm there is more than one connection")]
        pub(crate) fn info(&self, name: &str, buf: &mut [u8]) -> Result<usize, Error> {
            // SAFETY: the host reads `name` and writes at most `len` bytes at `buf`.
            count(unsafe { imports::info(name.as_ptr(), name.len(), buf.as_mut_ptr(), buf.len()) })
        }

        pub(crate) fn start_tls(&self, profile: &str, reply: &[u8]) -> Result<(), Error> {
            // SAFETY: the host reads `profile` and `reply`.
            count(unsafe {
                imports::start_tls(
                    self.fd,
                    profile.as_ptr(),
                    profile.len(),
                    reply.as_ptr(),
                    reply.len(),
                )
            })
            .map(drop)
        }
    }

    /// Bytes in a static, for one at a time. What says that they are in use comes first: behind
    /// them it would be in a page that is not touched otherwise.
    #[repr(C)]
    pub(crate) struct Room<const N: usize> {
        is_locked: Cell<bool>,
        bytes: UnsafeCell<[u8; N]>,
    }

    // SAFETY: an instance has one thread.
    unsafe impl<const N: usize> Sync for Room<N> {}

    /// The only way to the bytes of a [`Room`], and the only one at a time.
    pub(crate) struct Guard<'a, const N: usize> {
        room: &'a Room<N>,
    }

    impl<const N: usize> Room<N> {
        pub(crate) const fn new() -> Self {
            Self { is_locked: Cell::new(false), bytes: UnsafeCell::new([0; N]) }
        }

        pub(crate) fn lock(&self) -> Guard<'_, N> {
            if self.is_locked.replace(true) {
                // It would wait for itself. A panic would be more to carry.
                log(level::ERROR, b"a Buffer was locked twice at a time");
                wasm32::unreachable();
            }
            Guard { room: self }
        }
    }

    impl<const N: usize> Deref for Guard<'_, N> {
        type Target = [u8; N];

        fn deref(&self) -> &[u8; N] {
            // SAFETY: there is no other guard, and it is borrowed as long as the bytes are.
            unsafe { &*self.room.bytes.get() }
        }
    }

    impl<const N: usize> DerefMut for Guard<'_, N> {
        fn deref_mut(&mut self) -> &mut [u8; N] {
            // SAFETY: there is no other guard, and it is borrowed as long as the bytes are.
            unsafe { &mut *self.room.bytes.get() }
        }
    }

    impl<const N: usize> Drop for Guard<'_, N> {
        fn drop(&mut self) {
            self.room.is_locked.set(false);
        }
    }

    pub(crate) fn log(level: i32, message: &[u8]) {
        // SAFETY: the host reads `len` bytes at `ptr`.
        let _ = unsafe { imports::log(level, message.as_ptr(), message.len()) };
    }

    /// A bound as the contract has it: -1 is none, 0 never waits, and what is longer than 24 days
    /// is 24 days. Less than a millisecond is one, so that it does not become 0.
    fn milliseconds(timeout: Option<Duration>) -> i32 {
        timeout.map_or(-1, |timeout| {
            // Not `as_nanos`: dividing a `u128` is a kilobyte of code.
            let rest = timeout.subsec_nanos().div_ceil(1_000_000);
            let whole = timeout.as_secs().saturating_mul(1000).saturating_add(rest.into());
            i32::try_from(whole).unwrap_or(i32::MAX)
        })
    }
}

#[cfg(test)]
mod tests {
    use portcell_abi::{IMPORTS, MODULE};

    #[test]
    fn the_externs_are_the_imports_of_the_contract() {
        let source = include_str!("sys.rs");
        let (_, block) = source
            .split_once(&format!("#[link(wasm_import_module = \"{MODULE}\")]"))
            .expect("a block for the module");
        let (block, _) = block.split_once("\n        }\n").expect("the end of the block");

        let mut externs = Vec::new();
        for declaration in block.split("pub(super) fn ").skip(1) {
            let (name, rest) = declaration.split_once('(').unwrap();
            let (params, result) = rest.split_once(')').unwrap();
            assert!(result.starts_with(" -> i32;"), "the result of {name}");
            let params: Vec<&str> = params
                .split(',')
                .filter_map(|param| param.split_once(':'))
                .map(|(param, _)| param.trim())
                .collect();
            externs.push((name, params));
        }

        let imports: Vec<(&str, Vec<&str>)> =
            IMPORTS.iter().map(|import| (import.name, import.params.to_vec())).collect();
        assert_eq!(externs, imports);
    }
}
