//! The opening of a connection: authentication, negotiation of its parameters, and a channel in confirm mode.

use std::time::Duration;

use amq_protocol::auth::{Credentials, SASLMechanism};
use amq_protocol::frame::{AMQPFrame, ProtocolVersion};
use amq_protocol::protocol::{AMQPClass, channel, confirm, connection};
use amq_protocol::types::{AMQPValue, FieldTable};
use amq_protocol::uri::AMQPUri;
use tokio::io::{AsyncRead, AsyncWrite};

use super::frames::{CHANNEL, ConnectionError, FrameReader, FrameWriter};
use crate::queue::rabbitmq::connection::HEARTBEAT_SECONDS;

/// The size of a frame in addition to its payload.
const FRAME_OVERHEAD: usize = 8;

/// The payload that every broker must accept in a frame.
const BODY_MIN: usize = 4096 - FRAME_OVERHEAD;

/// The maximum payload of our frames, if the broker sets no lower limit.
const BODY_MAX: usize = 128 * 1024 - FRAME_OVERHEAD;

/// The parameters of a connection.
#[derive(Clone, Debug)]
pub(super) struct Negotiated {
    /// The maximum part of a message body per frame, in bytes.
    pub(super) body_max: usize,
    /// Either side closes the connection after receiving nothing for twice this time.
    pub(super) heartbeat: Duration,
    /// The name of the broker's cluster, if the broker reports one.
    pub(super) cluster: Option<String>,
}

/// Authenticates as the user in `uri`, negotiates, and opens [`CHANNEL`]. `purpose` is part of the connection name that the
/// broker shows.
pub(super) async fn handshake<R: AsyncRead + Unpin, W: AsyncWrite + Unpin>(
    reader: &mut FrameReader<R>,
    writer: &mut FrameWriter<W>,
    uri: &AMQPUri,
    purpose: &str,
) -> Result<Negotiated, ConnectionError> {
    let mut handshake = Handshake { reader, writer };
    let header = AMQPFrame::ProtocolHeader(ProtocolVersion::amqp_0_9_1());
    let cluster = handshake.request(&header, |response| {
        let AMQPClass::Connection(connection::AMQPMethod::Start(start)) = response else { return None };
        Some(cluster_name(&start.server_properties))
    });
    let cluster = cluster.await?;
    let credentials = Credentials::from(uri.authority.userinfo.clone());
    let start_ok = connection::StartOk {
        client_properties: client_properties(purpose),
        mechanism: SASLMechanism::Plain.to_string().into(),
        response: credentials.sasl_auth_string(SASLMechanism::Plain),
        locale: "en_US".into(),
    };
    let start_ok = connection_frame(connection::AMQPMethod::StartOk(start_ok));
    let tune = handshake.request(&start_ok, |response| {
        let AMQPClass::Connection(connection::AMQPMethod::Tune(tune)) = response else { return None };
        Some(tune.clone())
    });
    let tune = tune.await?;
    let heartbeat = match tune.heartbeat {
        0 => HEARTBEAT_SECONDS,
        proposed => proposed.min(HEARTBEAT_SECONDS),
    };
    let tune_ok = connection::TuneOk { channel_max: tune.channel_max, frame_max: tune.frame_max, heartbeat };
    handshake.writer.put(&connection_frame(connection::AMQPMethod::TuneOk(tune_ok)))?;
    let open = connection::Open { virtual_host: uri.vhost.as_str().into() };
    handshake
        .request(&connection_frame(connection::AMQPMethod::Open(open)), |response| {
            matches!(response, AMQPClass::Connection(connection::AMQPMethod::OpenOk(_))).then_some(())
        })
        .await?;
    let open = AMQPClass::Channel(channel::AMQPMethod::Open(channel::Open {}));
    handshake
        .request(&AMQPFrame::Method(CHANNEL, open), |response| {
            matches!(response, AMQPClass::Channel(channel::AMQPMethod::OpenOk(_))).then_some(())
        })
        .await?;
    let select = AMQPClass::Confirm(confirm::AMQPMethod::Select(confirm::Select { nowait: false }));
    handshake
        .request(&AMQPFrame::Method(CHANNEL, select), |response| {
            matches!(response, AMQPClass::Confirm(confirm::AMQPMethod::SelectOk(_))).then_some(())
        })
        .await?;
    let body_max = match usize::try_from(tune.frame_max) {
        Ok(proposed @ 1..) => proposed.saturating_sub(FRAME_OVERHEAD).clamp(BODY_MIN, BODY_MAX),
        Ok(0) | Err(_) => BODY_MAX,
    };
    Ok(Negotiated { body_max, heartbeat: Duration::from_secs(heartbeat.into()), cluster })
}

fn cluster_name(server_properties: &FieldTable) -> Option<String> {
    match server_properties.inner().get("cluster_name") {
        Some(AMQPValue::LongString(name)) => Some(name.to_string()),
        Some(_) | None => None,
    }
}

/// A frame with a method of the connection, which belongs to channel 0.
pub(super) fn connection_frame(method: connection::AMQPMethod) -> AMQPFrame {
    AMQPFrame::Method(0, AMQPClass::Connection(method))
}

fn client_properties(purpose: &str) -> FieldTable {
    let mut capabilities = FieldTable::default();
    for capability in ["publisher_confirms", "basic.nack", "connection.blocked", "authentication_failure_close"] {
        capabilities.insert(capability.into(), AMQPValue::Boolean(true));
    }
    let mut properties = FieldTable::default();
    properties.insert("connection_name".into(), AMQPValue::LongString(format!("throng {purpose}").into()));
    properties.insert("product".into(), AMQPValue::LongString("throng".into()));
    properties.insert("version".into(), AMQPValue::LongString(env!("CARGO_PKG_VERSION").into()));
    properties.insert("capabilities".into(), AMQPValue::FieldTable(capabilities));
    properties
}

/// A sequence of requests, each with one response.
struct Handshake<'a, R, W> {
    reader: &'a mut FrameReader<R>,
    writer: &'a mut FrameWriter<W>,
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Handshake<'_, R, W> {
    /// Sends a request; returns what `extract` finds in the response. `None` means an unexpected response, an error.
    async fn request<T>(
        &mut self,
        request: &AMQPFrame,
        extract: impl FnOnce(&AMQPClass) -> Option<T>,
    ) -> Result<T, ConnectionError> {
        self.writer.put(request)?;
        self.writer.send().await?;
        let response = loop {
            match self.reader.next().await? {
                AMQPFrame::Method(_, response) => break response,
                AMQPFrame::Heartbeat => {}
                other @ (AMQPFrame::ProtocolHeader(_)
                | AMQPFrame::Header(..)
                | AMQPFrame::Body(..)
                | AMQPFrame::InvalidHeartbeat(_)) => {
                    return Err(ConnectionError::Protocol(format!("unexpected frame {other}")));
                }
            }
        };
        extract(&response).ok_or_else(|| ConnectionError::unexpected(&response))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails where it can't go on")]
mod tests {
    use tokio::io::{duplex, split};

    use super::*;

    /// Negotiates with a broker that proposes these limits, and closes the connection with `refusal` after the credentials, if
    /// given. Returns the methods that the broker received as well.
    async fn negotiate(
        frame_max: u32,
        heartbeat: u16,
        refusal: Option<connection::Close>,
    ) -> (Result<Negotiated, ConnectionError>, Vec<AMQPClass>) {
        let (client, server) = duplex(64 * 1024);
        let ((client_reader, client_writer), (server_reader, server_writer)) = (split(client), split(server));
        let (mut reader, mut writer) = (FrameReader::new(server_reader), FrameWriter::new(server_writer));
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
        let mut responses = vec![connection_frame(connection::AMQPMethod::Start(start))];
        if let Some(refusal) = refusal {
            responses.push(connection_frame(connection::AMQPMethod::Close(refusal)));
        } else {
            responses.extend([
                connection_frame(connection::AMQPMethod::Tune(tune)),
                connection_frame(connection::AMQPMethod::OpenOk(connection::OpenOk {})),
                AMQPFrame::Method(CHANNEL, AMQPClass::Channel(channel::AMQPMethod::OpenOk(channel::OpenOk {}))),
                AMQPFrame::Method(CHANNEL, AMQPClass::Confirm(confirm::AMQPMethod::SelectOk(confirm::SelectOk {}))),
            ]);
        }
        let broker = async {
            let mut received = Vec::new();
            for response in responses {
                loop {
                    let AMQPFrame::Method(_, method) = reader.next().await.unwrap() else { break };
                    let is_request = !matches!(method, AMQPClass::Connection(connection::AMQPMethod::TuneOk(_)));
                    received.push(method);
                    if is_request {
                        break;
                    }
                }
                writer.put(&AMQPFrame::Heartbeat).unwrap();
                writer.put(&response).unwrap();
                writer.send().await.unwrap();
            }
            received
        };
        let uri: AMQPUri = "amqp://tom:secret@localhost:5672/votes".parse().unwrap();
        let (mut client_reader, mut client_writer) = (FrameReader::new(client_reader), FrameWriter::new(client_writer));
        tokio::join!(handshake(&mut client_reader, &mut client_writer, &uri, "tests"), broker)
    }

    #[tokio::test]
    async fn proposed_limits_are_bounded_by_our_own() {
        for (frame_max, heartbeat, body_max, seconds) in
            [(131_072, 60, 131_064, 5), (0, 0, 131_064, 5), (4_096, 2, 4_088, 2), (1 << 30, 5, 131_064, 5)]
        {
            let (negotiated, received) = negotiate(frame_max, heartbeat, None).await;
            let negotiated = negotiated.unwrap();
            assert_eq!((negotiated.body_max, negotiated.heartbeat), (body_max, Duration::from_secs(seconds)));
            assert_eq!(negotiated.cluster.as_deref(), Some("rabbit@a"));
            let tune_ok =
                connection::TuneOk { channel_max: 2_047, frame_max, heartbeat: u16::try_from(seconds).unwrap() };
            assert_eq!(received[1], AMQPClass::Connection(connection::AMQPMethod::TuneOk(tune_ok)));
            let open = connection::Open { virtual_host: "votes".into() };
            assert_eq!(received[2], AMQPClass::Connection(connection::AMQPMethod::Open(open)));
        }
    }

    #[tokio::test]
    async fn refusal_carries_the_reply_text() {
        let reply_text = "ACCESS_REFUSED - Login was refused";
        let close = connection::Close { reply_code: 403, reply_text: reply_text.into(), class_id: 10, method_id: 11 };
        let (refused, _) = negotiate(0, 0, Some(close)).await;
        assert!(matches!(&refused, Err(ConnectionError::Closed(closed)) if closed == reply_text), "{refused:?}");
    }
}
