//! The seam to the host: the imports of `portcell_v1` on wasm, the in-memory pipe elsewhere.
//!
//! Both sides offer a `Handle` with one method for each import and the same results, so that
//! nothing above this module knows where it runs. The only module with `unsafe`.

#[cfg(target_family = "wasm")]
pub(crate) use host::{Handle, Room, log};

#[cfg(not(target_family = "wasm"))]
pub(crate) use crate::pipe::{Handle, Room, log};

#[cfg(target_family = "wasm")]
mod host {
    #![expect(unsafe_code, reason = "imports are foreign functions")]

    use core::mem::MaybeUninit;
    use core::time::Duration;

    use portcell_abi::CONNECTION;

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

    /// Bytes that begin as what the memory was.
    pub(crate) struct Room<const N: usize> {
        bytes: [MaybeUninit<u8>; N],
    }

    impl<const N: usize> Room<N> {
        pub(crate) const fn new() -> Self {
            Self { bytes: [MaybeUninit::uninit(); N] }
        }
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
            // So says the contract. The compiler does not know it, and would check what the
            // handler cuts out.
            Ok(length.min(buf.len()))
        }

        pub(crate) fn read_into<'a, const N: usize>(
            &self,
            room: &'a mut Room<N>,
        ) -> Result<&'a mut [u8], Error> {
            // SAFETY: as above.
            let length =
                count(unsafe { imports::read(self.fd, room.bytes.as_mut_ptr().cast(), N) })?;
            // SAFETY: the host has written as many bytes as it says, from the first on.
            Ok(unsafe { room.bytes[..length.min(N)].assume_init_mut() })
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

    pub(crate) fn log(level: i32, message: &[u8]) {
        // SAFETY: the host reads `len` bytes at `ptr`.
        let _ = unsafe { imports::log(level, message.as_ptr(), message.len()) };
    }

    /// A bound as the contract has it: -1 is none, 0 never waits, and what is longer than 24 days
    /// is 24 days. Less than a millisecond is one, so that it does not become 0.
    fn milliseconds(timeout: Option<Duration>) -> i32 {
        timeout.map_or(-1, |timeout| {
            i32::try_from(timeout.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX)
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
