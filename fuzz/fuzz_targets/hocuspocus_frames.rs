#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| mapweave_fuzz::laws::hocuspocus_frames(data));
