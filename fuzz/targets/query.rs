//! Random bytes in, guided by the code they reach; [`fuzz::query`] says whether all is well.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::query(data));
