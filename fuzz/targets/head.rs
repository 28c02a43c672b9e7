//! Random bytes in, guided by the code they reach; [`fuzz::head`] says whether all is well.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::head(data));
