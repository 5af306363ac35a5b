//! What all use of the C interface shares: objects that are destroyed with their guard, and errors.

use rdkafka::bindings as c;
use rdkafka::error::KafkaError;
use std::ptr::NonNull;

/// Destroys a C object at the end of its scope.
pub(super) struct Guard<T>(NonNull<T>, unsafe extern "C" fn(*mut T));

impl<T> Guard<T> {
    pub fn new(made: *mut T, destroy: unsafe extern "C" fn(*mut T)) -> Option<Self> {
        NonNull::new(made).map(|it| Guard(it, destroy))
    }

    pub fn get(&self) -> *mut T {
        self.0.as_ptr()
    }
}

impl<T> Drop for Guard<T> {
    fn drop(&mut self) {
        // SAFETY: the pointer came from the constructor that belongs to this destructor, and nobody else destroys it.
        unsafe { (self.1)(self.0.as_ptr()) }
    }
}

/// What a consumer's error code means.
pub(super) fn error_of(code: c::rd_kafka_resp_err_t) -> KafkaError {
    KafkaError::MessageConsumption(code.into())
}
