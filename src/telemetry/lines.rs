//! Log lines: one JSON object each, the fields of the spans flat beside those of the event.
//!
//! Fields are written as members (`"name":value`, each on a line of its own) when they are recorded, once, and
//! an object is put together of them without reading any again.

use std::fmt;

use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
    span::Record,
};
use tracing_subscriber::{
    field::RecordFields,
    fmt::{
        FmtContext, FormatEvent, FormatFields, FormattedFields,
        format::Writer,
        time::{FormatTime, SystemTime as UtcTime},
    },
    registry::LookupSpan,
};

/// Inner spans win over outer ones, the event over spans, and nothing over the line's own members.
pub(super) struct FlatJson;

/// What a line has of itself.
const OWN: [&str; 3] = ["timestamp", "level", "target"];

impl<S> FormatEvent<S, Members> for FlatJson
where
    S: Subscriber + for<'lookup> LookupSpan<'lookup>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, Members>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut members = String::with_capacity(512);
        for span in context.event_scope().into_iter().flat_map(|scope| scope.from_root()) {
            if let Some(fields) = span.extensions().get::<FormattedFields<Members>>() {
                members.push_str(&fields.fields);
            }
        }
        context.format_fields(Writer::new(&mut members), event)?;
        writer.write_str("{\"timestamp\":\"")?;
        UtcTime.format_time(&mut writer)?;
        let metadata = event.metadata();
        // A target may be any text; a level is one of five.
        write!(writer, "\",\"level\":\"{}\",\"target\":", metadata.level())?;
        write_json(&mut writer, metadata.target())?;
        let mut rest = members.lines();
        while let Some(member) = rest.next() {
            let name = name(member);
            let is_own = OWN.iter().any(|own| name.strip_prefix('"') == Some(own));
            if !is_own && rest.clone().all(|later| self::name(later) != name) {
                writer.write_char(',')?;
                writer.write_str(member)?;
            }
        }
        writer.write_str("}\n")
    }
}

/// The name of a member, with the quotation mark that begins it.
fn name(member: &str) -> &str {
    member.split_once("\":").map_or(member, |(name, _)| name)
}

/// JSON has no line break outside of a text, and in a text none that is not escaped.
fn write_json(writer: &mut Writer<'_>, value: impl serde::Serialize) -> fmt::Result {
    writer.write_str(&serde_json::to_string(&value).map_err(|_| fmt::Error)?)
}

/// Fields as members.
pub(super) struct Members;

impl<'writer> FormatFields<'writer> for Members {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'writer>, fields: R) -> fmt::Result {
        let mut members = Writing { writer, result: Ok(()) };
        fields.record(&mut members);
        members.result
    }

    fn add_fields(
        &self,
        current: &'writer mut FormattedFields<Self>,
        fields: &Record<'_>,
    ) -> fmt::Result {
        self.format_fields(current.as_writer(), fields)
    }
}

struct Writing<'writer> {
    writer: Writer<'writer>,
    result: fmt::Result,
}

impl Writing<'_> {
    fn member(&mut self, field: &Field, value: impl serde::Serialize) {
        let write = || {
            write_json(&mut self.writer, field.name())?;
            self.writer.write_char(':')?;
            write_json(&mut self.writer, value)?;
            self.writer.write_char('\n')
        };
        self.result = self.result.and_then(|()| write());
    }
}

impl Visit for Writing<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.member(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.member(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.member(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.member(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.member(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.member(field, format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use serde_json::Value;
    use tracing_subscriber::fmt::MakeWriter;

    use super::*;

    #[derive(Clone, Default)]
    struct Captured(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Captured {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl<'writer> MakeWriter<'writer> for Captured {
        type Writer = Self;
        fn make_writer(&'writer self) -> Self {
            self.clone()
        }
    }

    #[test]
    fn a_line_carries_the_fields_of_its_spans() {
        let captured = Captured::default();
        let subscriber = tracing_subscriber::fmt()
            .fmt_fields(Members)
            .event_format(FlatJson)
            .with_writer(captured.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            let span =
                tracing::info_span!("r", correlation_id = "c-1", status = tracing::field::Empty);
            let _outer = span.enter();
            span.record("status", 200);
            let _inner = tracing::info_span!("inner", level = "forged", rows = 3).entered();
            tracing::warn!(rows = 4, "a \"quoted\"\nmessage");
        });
        let bytes = captured.0.lock().unwrap().clone();
        assert_eq!(bytes.iter().filter(|byte| **byte == b'\n').count(), 1, "one line");
        let line: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(line["correlation_id"], "c-1");
        assert_eq!((&line["status"], &line["rows"]), (&200.into(), &4.into()));
        assert_eq!(
            (&line["level"], &line["message"]),
            (&"WARN".into(), &"a \"quoted\"\nmessage".into())
        );
        assert!(line["timestamp"].as_str().unwrap().ends_with('Z'), "UTC: {line}");
        assert_eq!(line["target"], module_path!());
        let text = String::from_utf8(bytes).unwrap();
        assert_eq!(text.matches("\"rows\":").count(), 1, "no member twice: {text}");
    }
}
