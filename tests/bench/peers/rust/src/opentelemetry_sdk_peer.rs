// SPDX-License-Identifier: Apache-2.0
//! The OpenTelemetry Rust SDK: batch processors as it configures them, exporters that keep nothing.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;

use opentelemetry::logs::{AnyValue, LogRecord, Logger, LoggerProvider, Severity};
use opentelemetry::trace::noop::NoopTracerProvider;
use opentelemetry::trace::{Span, Status, TraceContextExt, Tracer, TracerProvider};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::logs::{BatchLogProcessor, LogBatch, LogExporter, SdkLoggerProvider};
use opentelemetry_sdk::trace::{BatchSpanProcessor, Sampler, SdkTracerProvider, SpanData, SpanExporter};

use crate::measure::{Drive, Processors};

/// The default queue holds 2048.
const ROOM: usize = 1900;

#[derive(Debug, Clone, Default)]
struct Null(Arc<AtomicU64>);

impl SpanExporter for Null {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.fetch_add(batch.len() as u64, Ordering::Relaxed);
        Ok(())
    }
}

impl LogExporter for Null {
    async fn export(&self, batch: LogBatch<'_>) -> OTelSdkResult {
        self.0.fetch_add(batch.iter().count() as u64, Ordering::Relaxed);
        Ok(())
    }
}

/// The cheapest form of a child: it is not made current itself.
fn child_of<T: Tracer>(tracer: &T, parent: &Context, n: usize, fill: impl Fn(&mut T::Span, usize)) {
    let _current = parent.clone().attach();
    for i in 0..n {
        let mut span = tracer.start("child");
        fill(&mut span, i);
        span.end();
    }
}

fn roots<T: Tracer>(tracer: &T, n: usize) {
    for _ in 0..n {
        tracer.start("root").end();
    }
}

fn fill_typical<S: Span>(span: &mut S, i: usize) {
    span.set_attribute(KeyValue::new("order.items", i as i64));
    span.set_attribute(KeyValue::new("order.currency", "EUR"));
    span.set_attribute(KeyValue::new("order.total", 12.5));
    span.add_event("order placed", Vec::new());
}

fn fill_exception<S: Span>(span: &mut S, stack: &str) {
    span.add_event(
        "exception",
        vec![
            KeyValue::new("exception.type", "not_found"),
            KeyValue::new("exception.message", "the order is not there"),
            KeyValue::new("exception.stacktrace", stack.to_string()),
        ],
    );
    span.set_status(Status::error("the order is not there"));
}

fn spans(processors: &Processors, rounds: usize) {
    let provider = SdkTracerProvider::builder()
        .with_span_processor(BatchSpanProcessor::builder(Null::default()).build())
        .build();
    let tracer = provider.tracer("bench");
    let parent = Context::new().with_span(tracer.start("parent"));
    let stack = "x".repeat(1024);
    let drain = || provider.force_flush().unwrap();
    let drive = Drive { processors, rounds, room: ROOM, drain: &drain };

    drive.measure("opentelemetry_root", &|n| roots(&tracer, n));
    drive.measure("opentelemetry_child", &|n| child_of(&tracer, &parent, n, |_, _| {}));
    drive.measure("opentelemetry_typical", &|n| child_of(&tracer, &parent, n, fill_typical));
    drive.measure("opentelemetry_exception", &|n| {
        child_of(&tracer, &parent, n, |span, _| fill_exception(span, &stack))
    });
}

fn no_spans(processors: &Processors, rounds: usize) {
    let off = SdkTracerProvider::builder()
        .with_sampler(Sampler::AlwaysOff)
        .with_span_processor(BatchSpanProcessor::builder(Null::default()).build())
        .build();
    let drive = Drive { processors, rounds, room: ROOM, drain: &|| {} };
    let tracer = off.tracer("bench");
    drive.measure("opentelemetry_sampled_out", &|n| roots(&tracer, n));
    let none = NoopTracerProvider::new().tracer("bench");
    drive.measure("opentelemetry_disabled", &|n| roots(&none, n));
}

fn logs(processors: &Processors, rounds: usize) {
    let provider = SdkLoggerProvider::builder()
        .with_log_processor(BatchLogProcessor::builder(Null::default()).build())
        .build();
    let logger = provider.logger("bench");
    let drain = || provider.force_flush().unwrap();
    let drive = Drive { processors, rounds, room: ROOM, drain: &drain };

    drive.measure("opentelemetry_log", &|n| {
        for i in 0..n {
            let mut record = logger.create_log_record();
            record.set_severity_number(Severity::Info);
            record.set_body(AnyValue::from("order placed"));
            record.add_attribute("order.items", i as i64);
            record.add_attribute("order.currency", "EUR");
            record.add_attribute("order.total", 12.5);
            logger.emit(record);
        }
    });
}

pub fn measure(processors: &Processors, rounds: usize) {
    spans(processors, rounds);
    no_spans(processors, rounds);
    logs(processors, rounds);
}
