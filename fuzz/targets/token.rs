//! Random bytes in, guided by the code they reach; [`fuzz::token`] says whether all is well.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::token(data));
