//! The input of the benches: generated web-log events, the same for the same seed.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::Path;
use tidelake::generator::{Generated, Generator, Settings};

/// Where generated events go.
pub trait Sink {
    fn send(&mut self, partition: usize, event: &[u8]);
    /// Everything sent can be read now, or soon.
    fn flush(&mut self);
    fn partitions(&self) -> usize;
}

/// Partition files in a folder.
pub struct Files(Vec<BufWriter<File>>);

impl Files {
    pub fn open(folder: &Path, partitions: usize) -> Self {
        std::fs::create_dir_all(folder).expect("the input folder can be made");
        let open = |number| {
            let path = folder.join(format!("events-{number}.jsonl"));
            let file = OpenOptions::new().create(true).append(true).open(path);
            BufWriter::with_capacity(1 << 18, file.expect("a partition file can be written"))
        };
        Files((0..partitions).map(open).collect())
    }
}

impl Sink for Files {
    fn send(&mut self, partition: usize, event: &[u8]) {
        let file = &mut self.0[partition];
        file.write_all(event)
            .and_then(|()| file.write_all(b"\n"))
            .expect("the disk has room");
    }

    fn flush(&mut self) {
        for file in &mut self.0 {
            file.flush().expect("the disk has room");
        }
    }

    fn partitions(&self) -> usize {
        self.0.len()
    }
}

/// Events of a fixed seed, `rate` per second of event time; `start_us` is the first one's.
pub fn generator(rate: f64, start_us: i64) -> Generator {
    Generator::new(Settings {
        seed: 42,
        rate,
        anomalies: true,
        start_us,
    })
}

/// Writes so many events as fast as possible.
pub fn fill(sink: &mut dyn Sink, records: u64, rate: f64, start_us: i64) {
    let mut generator = generator(rate, start_us);
    let partitions = sink.partitions() as u64;
    let mut event = Vec::with_capacity(512);
    for _ in 0..records {
        event.clear();
        let Generated { key_hash, .. } = generator.next_into(&mut event);
        sink.send((key_hash % partitions) as usize, &event);
    }
    sink.flush();
}
