//! How a connection begins: who we are, what both sides keep to, and a channel on which each message is confirmed.

use std::time::Duration;

use amq_protocol::auth::{Credentials, SASLMechanism};
use amq_protocol::frame::{AMQPFrame, ProtocolVersion};
use amq_protocol::protocol::{AMQPClass, channel, confirm, connection};
use amq_protocol::types::{AMQPValue, FieldTable};
use amq_protocol::uri::AMQPUri;
use tokio::io::{AsyncRead, AsyncWrite};

use super::frames::{FrameReader, FrameWriter};
use super::{Broken, CHANNEL};
use crate::queue::rabbitmq::connection::HEARTBEAT_SECONDS;

/// What a frame has around its contents.
const FRAME_OVERHEAD: usize = 8;

/// The contents of the largest frame every broker takes.
const BODY_MIN: usize = 4096 - FRAME_OVERHEAD;

/// The contents of our largest frame, where the broker sets no bound.
const BODY_MAX: usize = 128 * 1024 - FRAME_OVERHEAD;

/// What both sides keep to.
#[derive(Clone, Debug)]
pub(super) struct Agreed {
    /// The most of a message that goes into one frame.
    pub(super) body_max: usize,
    /// After twice this time without a sign of life either side gives the connection up.
    pub(super) heartbeat: Duration,
    /// What the broker's cluster is called, if it says so.
    pub(super) cluster: Option<String>,
}

/// Greets the broker, as the user that `uri` names. `purpose` is what the broker's operator sees.
pub(super) async fn greet<R: AsyncRead + Unpin, W: AsyncWrite + Unpin>(
    reader: &mut FrameReader<R>,
    writer: &mut FrameWriter<W>,
    uri: &AMQPUri,
    purpose: &str,
) -> Result<Agreed, Broken> {
    let mut talk = Talk { reader, writer };
    let header = AMQPFrame::ProtocolHeader(ProtocolVersion::amqp_0_9_1());
    let cluster = talk.ask(&header, |answer| {
        let AMQPClass::Connection(connection::AMQPMethod::Start(start)) = answer else { return None };
        Some(cluster_of(&start.server_properties))
    });
    let cluster = cluster.await?;
    let credentials = Credentials::from(uri.authority.userinfo.clone());
    let introduction = connection::StartOk {
        client_properties: about_us(purpose),
        mechanism: SASLMechanism::Plain.to_string().into(),
        response: credentials.sasl_auth_string(SASLMechanism::Plain),
        locale: "en_US".into(),
    };
    let introduction = on_connection(connection::AMQPMethod::StartOk(introduction));
    let tune = talk.ask(&introduction, |answer| {
        let AMQPClass::Connection(connection::AMQPMethod::Tune(tune)) = answer else { return None };
        Some(tune.clone())
    });
    let tune = tune.await?;
    let heartbeat = match tune.heartbeat {
        0 => HEARTBEAT_SECONDS,
        theirs => theirs.min(HEARTBEAT_SECONDS),
    };
    let tuned = connection::TuneOk { channel_max: tune.channel_max, frame_max: tune.frame_max, heartbeat };
    talk.writer.put(&on_connection(connection::AMQPMethod::TuneOk(tuned)))?;
    let open = connection::Open { virtual_host: uri.vhost.as_str().into() };
    talk.ask(&on_connection(connection::AMQPMethod::Open(open)), |answer| {
        matches!(answer, AMQPClass::Connection(connection::AMQPMethod::OpenOk(_))).then_some(())
    })
    .await?;
    let open = AMQPClass::Channel(channel::AMQPMethod::Open(channel::Open {}));
    talk.ask(&AMQPFrame::Method(CHANNEL, open), |answer| {
        matches!(answer, AMQPClass::Channel(channel::AMQPMethod::OpenOk(_))).then_some(())
    })
    .await?;
    let select = AMQPClass::Confirm(confirm::AMQPMethod::Select(confirm::Select { nowait: false }));
    talk.ask(&AMQPFrame::Method(CHANNEL, select), |answer| {
        matches!(answer, AMQPClass::Confirm(confirm::AMQPMethod::SelectOk(_))).then_some(())
    })
    .await?;
    let body_max = match usize::try_from(tune.frame_max) {
        Ok(theirs @ 1..) => theirs.saturating_sub(FRAME_OVERHEAD).clamp(BODY_MIN, BODY_MAX),
        Ok(0) | Err(_) => BODY_MAX,
    };
    Ok(Agreed { body_max, heartbeat: Duration::from_secs(heartbeat.into()), cluster })
}

fn cluster_of(broker: &FieldTable) -> Option<String> {
    match broker.inner().get("cluster_name") {
        Some(AMQPValue::LongString(name)) => Some(name.to_string()),
        Some(_) | None => None,
    }
}

/// A method that concerns the whole connection.
pub(super) fn on_connection(method: connection::AMQPMethod) -> AMQPFrame {
    AMQPFrame::Method(0, AMQPClass::Connection(method))
}

fn about_us(purpose: &str) -> FieldTable {
    let mut capabilities = FieldTable::default();
    for capability in ["publisher_confirms", "basic.nack", "connection.blocked", "authentication_failure_close"] {
        capabilities.insert(capability.into(), AMQPValue::Boolean(true));
    }
    let mut about_us = FieldTable::default();
    about_us.insert("connection_name".into(), AMQPValue::LongString(format!("throng {purpose}").into()));
    about_us.insert("product".into(), AMQPValue::LongString("throng".into()));
    about_us.insert("version".into(), AMQPValue::LongString(env!("CARGO_PKG_VERSION").into()));
    about_us.insert("capabilities".into(), AMQPValue::FieldTable(capabilities));
    about_us
}

/// One question at a time, each with an answer.
struct Talk<'a, R, W> {
    reader: &'a mut FrameReader<R>,
    writer: &'a mut FrameWriter<W>,
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Talk<'_, R, W> {
    /// Asks; returns what `wanted` finds in the answer, and fails where it finds nothing.
    async fn ask<T>(
        &mut self,
        question: &AMQPFrame,
        wanted: impl FnOnce(&AMQPClass) -> Option<T>,
    ) -> Result<T, Broken> {
        self.writer.put(question)?;
        self.writer.send().await?;
        let answer = loop {
            match self.reader.next().await? {
                AMQPFrame::Method(_, answer) => break answer,
                AMQPFrame::Heartbeat => {}
                other @ (AMQPFrame::ProtocolHeader(_)
                | AMQPFrame::Header(..)
                | AMQPFrame::Body(..)
                | AMQPFrame::InvalidHeartbeat(_)) => return Err(Broken::Unreadable(other.to_string())),
            }
        };
        wanted(&answer).ok_or_else(|| Broken::by(&answer))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails where it can't go on")]
mod tests {
    use tokio::io::{duplex, split};

    use super::*;

    /// What is agreed on with a broker that offers this; its answer to the user is `refusal`, if there is one.
    async fn meet(
        frame_max: u32,
        heartbeat: u16,
        refusal: Option<connection::Close>,
    ) -> (Result<Agreed, Broken>, Vec<AMQPClass>) {
        let (ours, theirs) = duplex(64 * 1024);
        let ((our_reader, our_writer), (their_reader, their_writer)) = (split(ours), split(theirs));
        let (mut reader, mut writer) = (FrameReader::new(their_reader), FrameWriter::new(their_writer));
        let mut server_properties = FieldTable::default();
        server_properties.insert("cluster_name".into(), AMQPValue::LongString("rabbit@a".into()));
        let start = connection::Start {
            version_major: 0,
            version_minor: 9,
            server_properties,
            mechanisms: "PLAIN".into(),
            locales: "en_US".into(),
        };
        let tune = connection::Tune { channel_max: 2_047, frame_max, heartbeat };
        let mut answers = vec![on_connection(connection::AMQPMethod::Start(start))];
        if let Some(refusal) = refusal {
            answers.push(on_connection(connection::AMQPMethod::Close(refusal)));
        } else {
            answers.extend([
                on_connection(connection::AMQPMethod::Tune(tune)),
                on_connection(connection::AMQPMethod::OpenOk(connection::OpenOk {})),
                AMQPFrame::Method(CHANNEL, AMQPClass::Channel(channel::AMQPMethod::OpenOk(channel::OpenOk {}))),
                AMQPFrame::Method(CHANNEL, AMQPClass::Confirm(confirm::AMQPMethod::SelectOk(confirm::SelectOk {}))),
            ]);
        }
        let broker = async {
            let mut heard = Vec::new();
            for answer in answers {
                loop {
                    let AMQPFrame::Method(_, method) = reader.next().await.unwrap() else { break };
                    let is_question = !matches!(method, AMQPClass::Connection(connection::AMQPMethod::TuneOk(_)));
                    heard.push(method);
                    if is_question {
                        break;
                    }
                }
                writer.put(&AMQPFrame::Heartbeat).unwrap();
                writer.put(&answer).unwrap();
                writer.send().await.unwrap();
            }
            heard
        };
        let uri: AMQPUri = "amqp://tom:secret@localhost:5672/votes".parse().unwrap();
        let (mut our_reader, mut our_writer) = (FrameReader::new(our_reader), FrameWriter::new(our_writer));
        tokio::join!(greet(&mut our_reader, &mut our_writer, &uri, "tests"), broker)
    }

    #[tokio::test]
    async fn what_the_broker_offers_is_kept_to_within_our_own_bounds() {
        for (frame_max, heartbeat, body_max, seconds) in
            [(131_072, 60, 131_064, 5), (0, 0, 131_064, 5), (4_096, 2, 4_088, 2), (1 << 30, 5, 131_064, 5)]
        {
            let (agreed, heard) = meet(frame_max, heartbeat, None).await;
            let agreed = agreed.unwrap();
            assert_eq!((agreed.body_max, agreed.heartbeat), (body_max, Duration::from_secs(seconds)));
            assert_eq!(agreed.cluster.as_deref(), Some("rabbit@a"));
            let tuned =
                connection::TuneOk { channel_max: 2_047, frame_max, heartbeat: u16::try_from(seconds).unwrap() };
            assert_eq!(heard[1], AMQPClass::Connection(connection::AMQPMethod::TuneOk(tuned)));
            let open = connection::Open { virtual_host: "votes".into() };
            assert_eq!(heard[2], AMQPClass::Connection(connection::AMQPMethod::Open(open)));
        }
    }

    #[tokio::test]
    async fn a_refusal_is_in_the_brokers_words() {
        let words = "ACCESS_REFUSED - Login was refused";
        let close = connection::Close { reply_code: 403, reply_text: words.into(), class_id: 10, method_id: 11 };
        let (refused, _) = meet(0, 0, Some(close)).await;
        assert!(matches!(&refused, Err(Broken::Closed(told)) if told == words), "{refused:?}");
    }
}
