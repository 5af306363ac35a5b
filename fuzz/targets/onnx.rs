#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tidelake_fuzz::run("onnx", data));
