// SPDX-License-Identifier: Apache-2.0
//! fastrace: spans that are local to a thread go to a vector there and, once for each scope of 100, to
//! the collector. Its properties are text only; constants are used, so that no conversion is charged.

use fastrace::collector::{Config, Reporter, SpanContext, SpanRecord};
use fastrace::local::LocalSpan;
use fastrace::{Event, Span};

use crate::measure::{Drive, Processors};

const ROOM: usize = 2000;
// A large request; a scope's own cost is spread over them.
const SCOPE: usize = 100;

struct Null;

impl Reporter for Null {
    fn report(&mut self, spans: Vec<SpanRecord>) {
        drop(spans);
    }
}

fn local(n: usize, is_sampled: bool, fill: impl Fn(LocalSpan) -> LocalSpan) {
    for begin in (0..n).step_by(SCOPE) {
        let root = Span::root("parent", SpanContext::random().sampled(is_sampled));
        let _current = root.set_local_parent();
        for _ in begin..n.min(begin + SCOPE) {
            let _span = fill(LocalSpan::enter_with_local_parent("child"));
        }
    }
}

fn fill_typical(span: LocalSpan) -> LocalSpan {
    let span = span.with_properties(|| [("order.items", "7"), ("order.currency", "EUR"), ("order.total", "12.5")]);
    LocalSpan::add_event(Event::new("order placed"));
    span
}

fn fill_exception(span: LocalSpan, stack: &str) -> LocalSpan {
    let stack = stack.to_string();
    let span = span.with_property(|| ("error", "true"));
    LocalSpan::add_event(Event::new("exception").with_properties(|| {
        [
            ("exception.type", "not_found".into()),
            ("exception.message", "the order is not there".into()),
            ("exception.stacktrace", stack),
        ]
    }));
    span
}

pub fn measure(processors: &Processors, rounds: usize) {
    let drive = Drive { processors, rounds, room: ROOM, drain: &fastrace::flush };
    let stack = "x".repeat(1024);

    drive.measure("fastrace_disabled", &|n| {
        for _ in 0..n {
            let _span = LocalSpan::enter_with_local_parent("child");
        }
    });
    fastrace::set_reporter(Null, Config::default());
    drive.measure("fastrace_root", &|n| {
        for _ in 0..n {
            let _root = Span::root("root", SpanContext::random());
        }
    });
    drive.measure("fastrace_child", &|n| local(n, true, |span| span));
    drive.measure("fastrace_typical", &|n| local(n, true, fill_typical));
    drive.measure("fastrace_exception", &|n| local(n, true, |span| fill_exception(span, &stack)));
    drive.measure("fastrace_sampled_out", &|n| local(n, false, |span| span));
    fastrace::flush();
}
