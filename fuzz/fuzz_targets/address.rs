//! The address grammar: what is parsed and displayed is the same when it is parsed again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcell::address::Address;

fuzz_target!(|text: &str| {
    match text.parse::<Address>() {
        Ok(address) => {
            let shown = address.to_string();
            let again = shown.parse();
            assert_eq!(again.as_ref(), Ok(&address), "{text:?} is shown as {shown:?}");
            assert!(!shown.contains(char::is_control), "{shown:?}");
        }
        Err(error) => {
            let message = error.to_string();
            assert!(!message.contains(char::is_control), "{message:?}");
        }
    }
});
