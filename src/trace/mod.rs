//! Traces: on what a request, a query or a commit spent its time, for a collector of OpenTelemetry.
//!
//! Nothing is traced until [`export::begin`] is told of a collector. Until then a [`Span`] is empty, and making one costs a look at a flag.
//!
//! ```text
//! GET /api/v1/…        a request, until the head of its answer     queue ─ plan ─ views ─ execute
//!   query              a query, asked by anyone ───────────────────┘
//! commit               from the first files to the last log entry: files ─ state ─ manifest ─ table_log
//! start                a pipeline, until it reads: claim ─ state ─ views
//! ```
//!
//! Names of attributes are those of OpenTelemetry's semantic conventions where they have one, else they begin with `tidelake.`.

pub mod export;

use opentelemetry::trace::{
    FutureExt, SpanBuilder, SpanKind, Status, TraceContextExt, Tracer, TracerProvider,
};
use opentelemetry::{Context, KeyValue, Value};
use opentelemetry_http::HeaderExtractor;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use std::borrow::Cow;
use std::future::Future;
use std::sync::OnceLock;
use std::time::SystemTime;

/// Set once by who begins to export.
static TRACER: OnceLock<SdkTracer> = OnceLock::new();

fn trace_with(provider: &SdkTracerProvider) {
    // A process has one collector.
    let _ = TRACER.set(provider.tracer("tidelake"));
}

/// A piece of work in a trace; it ends when the last of its clones is dropped. Empty, and without any cost, when nothing is traced.
#[derive(Clone, Debug, Default)]
pub struct Span(Option<Context>);

impl Span {
    /// Work that begins a trace.
    pub fn root(name: impl Into<Cow<'static, str>>) -> Span {
        Span::made(&Context::new(), SpanBuilder::from_name(name))
    }

    /// The answer to a request. Its trace is the one that the header `traceparent` of [W3C Trace Context] names, if there is one.
    ///
    /// [W3C Trace Context]: https://www.w3.org/TR/trace-context/
    pub fn of_request(name: impl FnOnce() -> String, headers: &reqwest::header::HeaderMap) -> Span {
        use opentelemetry::propagation::TextMapPropagator;
        if TRACER.get().is_none() {
            return Span::default();
        }
        let propagator = TraceContextPropagator::new();
        let parent = propagator.extract_with_context(&Context::new(), &HeaderExtractor(headers));
        Span::made(
            &parent,
            SpanBuilder::from_name(name()).with_kind(SpanKind::Server),
        )
    }

    /// A part of the work that surrounds the caller, as [`Span::around`] has it; of none, it begins a trace.
    pub fn here(name: &'static str) -> Span {
        match TRACER.get() {
            Some(_) => Span::made(&Context::current(), SpanBuilder::from_name(name)),
            None => Span::default(),
        }
    }

    /// The work that surrounds the caller, as [`Span::around`] has it.
    pub fn current() -> Span {
        let here = |_| Context::map_current(|it| it.has_active_span().then(|| it.clone()));
        Span(TRACER.get().and_then(here))
    }

    /// A part of this work. Of an empty span it is empty.
    pub fn child(&self, name: &'static str) -> Span {
        match &self.0 {
            Some(parent) => Span::made(parent, SpanBuilder::from_name(name)),
            None => Span::default(),
        }
    }

    /// A part of this work that is over: from one time to another.
    pub fn past(&self, name: &'static str, from: SystemTime, until: SystemTime) -> Past {
        let span = match &self.0 {
            Some(parent) => Span::made(parent, SpanBuilder::from_name(name).with_start_time(from)),
            None => Span::default(),
        };
        Past { span, until }
    }

    /// Work that begins a trace and began earlier.
    pub fn root_since(name: &'static str, from: SystemTime) -> Span {
        Span::made(
            &Context::new(),
            SpanBuilder::from_name(name).with_start_time(from),
        )
    }

    fn made(parent: &Context, span: SpanBuilder) -> Span {
        let made = |it: &SdkTracer| parent.with_span(it.build_with_context(span, parent));
        Span(TRACER.get().map(made))
    }

    /// Whether somebody will see it: what is only computed for its attributes need not be otherwise.
    pub fn is_recorded(&self) -> bool {
        self.0.as_ref().is_some_and(|it| it.span().is_recording())
    }

    pub fn set(&self, key: &'static str, value: impl Into<Value>) {
        if let Some(it) = &self.0 {
            it.span().set_attribute(KeyValue::new(key, value));
        }
    }

    /// Tells of something that happened in the midst of it.
    pub fn note(&self, event: &'static str, words: impl FnOnce() -> String) {
        if self.is_recorded()
            && let Some(it) = &self.0
        {
            let words = KeyValue::new("exception.message", words());
            it.span().add_event(event, vec![words]);
        }
    }

    /// It did not succeed.
    pub fn fail(&self, kind: impl Into<Value>, words: impl FnOnce() -> String) {
        if self.is_recorded()
            && let Some(it) = &self.0
        {
            it.span().set_attribute(KeyValue::new("error.type", kind));
            it.span().set_status(Status::error(words()));
        }
    }

    /// Does a part of its work: what asks for the span around it finds this one.
    pub async fn around<F: Future>(&self, work: F) -> F::Output {
        match &self.0 {
            Some(it) => work.with_context(it.clone()).await,
            None => work.await,
        }
    }
}

/// A part of work that is over; it ends with the time that was told when it is dropped.
pub struct Past {
    pub span: Span,
    until: SystemTime,
}

impl Drop for Past {
    fn drop(&mut self) {
        if let Some(it) = &self.span.0 {
            it.span().end_with_timestamp(self.until);
        }
    }
}

#[cfg(test)]
mod tests;
