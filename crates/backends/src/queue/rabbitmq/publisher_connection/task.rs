//! The task of a publisher connection: publishes messages, and handles the broker's confirms.

use std::time::Duration;

use amq_protocol::frame::{AMQPContentHeader, AMQPFrame};
use amq_protocol::protocol::{AMQPClass, BasicProperties, basic, connection};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tracing::debug;

use super::frames::{CHANNEL, ConnectionError, FrameReader, FrameWriter};
use super::handshake::{Negotiated, connection_frame};
use super::unconfirmed_set::{Sender, UnconfirmedSet};
use crate::queue::rabbitmq::alarms::Alarm;
use crate::queue::rabbitmq::confirm_channel::{PERSISTENT, Unconfirmed};

/// The timeout for closing a connection.
const CLOSE_MAX: Duration = Duration::from_secs(1);

/// AMQP's id of the class `basic`.
const BASIC: u16 = 60;

/// A message to publish.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) body: Vec<u8>,
    pub(super) sender: Sender,
}

/// All work on one connection, in one task on the runtime that opened it.
pub(super) struct ConnectionTask<R, W> {
    pub(super) reader: FrameReader<R>,
    pub(super) writer: FrameWriter<W>,
    pub(super) negotiated: Negotiated,
    /// The queue to which all messages are published.
    pub(super) queue: String,
    pub(super) outgoing: mpsc::Receiver<Outgoing>,
    pub(super) alarm: Alarm,
}

/// What was published and received so far.
struct ConnectionState {
    unconfirmed: UnconfirmedSet,
    /// The reply text of a `basic.return`, until the header of the returned message follows.
    returning: Option<String>,
    received_at: Instant,
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> ConnectionTask<R, W> {
    /// Runs until the publisher connection is dropped or the connection is lost.
    pub(super) async fn run(mut self) {
        let mut state =
            ConnectionState { unconfirmed: UnconfirmedSet::default(), returning: None, received_at: Instant::now() };
        let why = match self.run_until_closed(&mut state).await {
            Ok(()) => {
                let _ = timeout(CLOSE_MAX, self.close()).await;
                "closed by the publisher".to_owned()
            }
            Err(error) => {
                if let ConnectionError::Closed(_) = error {
                    let _ = timeout(CLOSE_MAX, self.acknowledge_close()).await;
                }
                error.to_string()
            }
        };
        debug!(why, "publisher connection closed");
        state.unconfirmed.fail_all(&why);
        self.outgoing.close();
        while let Some(outgoing) = self.outgoing.recv().await {
            let _ = outgoing.sender.send(Err(Unconfirmed::NotSent));
        }
    }

    async fn run_until_closed(&mut self, state: &mut ConnectionState) -> Result<(), ConnectionError> {
        let mut heartbeat = interval(self.negotiated.heartbeat / 2);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                outgoing = self.outgoing.recv() => match outgoing {
                    Some(outgoing) => self.publish(outgoing, &mut state.unconfirmed)?,
                    None => return Ok(()),
                },
                sent = self.writer.send(), if self.writer.has_unsent() => sent?,
                frame = self.reader.next() => self.handle_frame(frame?, state)?,
                _ = heartbeat.tick() => {
                    if state.received_at.elapsed() > self.negotiated.heartbeat * 2 {
                        return Err(ConnectionError::HeartbeatTimeout);
                    }
                    self.writer.put(&AMQPFrame::Heartbeat)?;
                }
            }
        }
    }

    fn publish(
        &mut self,
        Outgoing { body, sender }: Outgoing,
        unconfirmed: &mut UnconfirmedSet,
    ) -> Result<(), ConnectionError> {
        let number = unconfirmed.add(sender);
        let publish = basic::Publish {
            exchange: "".into(),
            routing_key: self.queue.as_str().into(),
            mandatory: true,
            immediate: false,
        };
        // The message id identifies the message if it is returned.
        let properties =
            BasicProperties::default().with_delivery_mode(PERSISTENT).with_message_id(number.to_string().into());
        let header = AMQPContentHeader { class_id: BASIC, body_size: body.len() as u64, properties };
        self.writer.put(&AMQPFrame::Method(CHANNEL, AMQPClass::Basic(basic::AMQPMethod::Publish(publish))))?;
        self.writer.put(&AMQPFrame::Header(CHANNEL, header))?;
        for part in body.chunks(self.negotiated.body_max) {
            self.writer.put(&AMQPFrame::Body(CHANNEL, part.to_vec()))?;
        }
        Ok(())
    }

    fn handle_frame(&mut self, frame: AMQPFrame, state: &mut ConnectionState) -> Result<(), ConnectionError> {
        state.received_at = Instant::now();
        match frame {
            AMQPFrame::Method(_, AMQPClass::Basic(basic::AMQPMethod::Ack(ack))) => {
                state.settle(ack.delivery_tag, ack.multiple, true)?;
            }
            AMQPFrame::Method(_, AMQPClass::Basic(basic::AMQPMethod::Nack(nack))) => {
                state.settle(nack.delivery_tag, nack.multiple, false)?;
            }
            AMQPFrame::Method(_, AMQPClass::Basic(basic::AMQPMethod::Return(returning))) => {
                state.returning = Some(returning.reply_text.to_string());
            }
            AMQPFrame::Header(_, AMQPContentHeader { properties, .. }) => {
                let number = properties.message_id().as_ref().and_then(|id| id.as_str().parse().ok());
                let returned = state.returning.take().zip(number);
                if !returned.is_some_and(|(reply_text, number)| state.unconfirmed.returned(number, reply_text)) {
                    return Err(ConnectionError::Protocol("returned message is not in flight".to_owned()));
                }
            }
            AMQPFrame::Method(_, AMQPClass::Connection(connection::AMQPMethod::Blocked(blocked))) => {
                self.alarm.raise(blocked.reason.to_string());
            }
            AMQPFrame::Method(_, AMQPClass::Connection(connection::AMQPMethod::Unblocked(_))) => self.alarm.clear(),
            AMQPFrame::Method(_, other) => return Err(ConnectionError::unexpected(&other)),
            // The body of a returned message, and heartbeats.
            AMQPFrame::Body(..) | AMQPFrame::Heartbeat => {}
            AMQPFrame::ProtocolHeader(_) | AMQPFrame::InvalidHeartbeat(_) => {
                return Err(ConnectionError::Protocol(format!("unexpected frame {frame}")));
            }
        }
        Ok(())
    }

    /// Acknowledges that the broker closes the connection.
    async fn acknowledge_close(&mut self) -> Result<(), ConnectionError> {
        self.writer.put(&connection_frame(connection::AMQPMethod::CloseOk(connection::CloseOk {})))?;
        self.writer.send().await
    }

    /// Closes the connection; returns once the broker has acknowledged that.
    async fn close(&mut self) -> Result<(), ConnectionError> {
        let close = connection::Close { reply_code: 200, reply_text: "OK".into(), class_id: 0, method_id: 0 };
        self.writer.put(&connection_frame(connection::AMQPMethod::Close(close)))?;
        self.writer.send().await?;
        loop {
            if let AMQPFrame::Method(_, AMQPClass::Connection(connection::AMQPMethod::CloseOk(_))) =
                self.reader.next().await?
            {
                return Ok(());
            }
        }
    }
}

impl ConnectionState {
    fn settle(&mut self, number: u64, multiple: bool, acked: bool) -> Result<(), ConnectionError> {
        let was_sent = self.unconfirmed.settle(number, multiple, acked);
        let error = || ConnectionError::Protocol("confirm for a message that was never published".to_owned());
        was_sent.then_some(()).ok_or_else(error)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails where it can't go on")]
mod tests {
    use std::sync::Arc;

    use tokio::io::{AsyncWriteExt as _, DuplexStream, ReadHalf, WriteHalf, duplex, split};
    use tokio::sync::oneshot;
    use tokio::task::JoinHandle;

    use super::*;
    use crate::queue::rabbitmq::alarms::Alarms;

    /// The broker's end of a connection.
    struct FakeBroker {
        reader: FrameReader<ReadHalf<DuplexStream>>,
        writer: FrameWriter<WriteHalf<DuplexStream>>,
    }

    struct Fixture {
        broker: FakeBroker,
        outgoing: mpsc::Sender<Outgoing>,
        alarms: Arc<Alarms>,
        task: JoinHandle<()>,
    }

    fn fixture(heartbeat: Duration) -> Fixture {
        let (client, server) = duplex(64 * 1024);
        let ((reader, writer), (server_reader, server_writer)) = (split(client), split(server));
        let (outgoing, receiver) = mpsc::channel(8);
        let alarms = Arc::new(Alarms::default());
        let task = ConnectionTask {
            reader: FrameReader::new(reader),
            writer: FrameWriter::new(writer),
            negotiated: Negotiated { body_max: 4, heartbeat, cluster: None },
            queue: "ballots".to_owned(),
            outgoing: receiver,
            alarm: alarms.of_connection(),
        };
        let broker = FakeBroker { reader: FrameReader::new(server_reader), writer: FrameWriter::new(server_writer) };
        Fixture { broker, outgoing, alarms, task: tokio::spawn(task.run()) }
    }

    const LONG: Duration = Duration::from_secs(60);

    impl Fixture {
        async fn publish(&self, body: &[u8]) -> oneshot::Receiver<Result<(), Unconfirmed>> {
            let (sender, outcome) = oneshot::channel();
            self.outgoing.send(Outgoing { body: body.to_vec(), sender }).await.unwrap();
            outcome
        }

        /// Has the broker report an alarm, and waits until it is received.
        async fn raise_alarm(&mut self) {
            let blocked = connection::Blocked { reason: "low on disk".into() };
            self.broker.send(connection_frame(connection::AMQPMethod::Blocked(blocked))).await;
            while self.alarms.reason().is_none() {
                tokio::task::yield_now().await;
            }
        }
    }

    impl FakeBroker {
        async fn send_bytes(&mut self, bytes: &[u8]) {
            self.writer.sink.write_all(bytes).await.unwrap();
        }

        async fn send(&mut self, frame: AMQPFrame) {
            self.writer.put(&frame).unwrap();
            self.writer.send().await.unwrap();
        }

        async fn send_basic(&mut self, method: basic::AMQPMethod) {
            self.send(AMQPFrame::Method(CHANNEL, AMQPClass::Basic(method))).await;
        }

        /// The next frame that is not a heartbeat.
        async fn receive(&mut self) -> AMQPFrame {
            loop {
                let frame = self.reader.next().await.unwrap();
                if frame != AMQPFrame::Heartbeat {
                    return frame;
                }
            }
        }

        /// Receives a message with one body frame.
        async fn receive_message(&mut self) {
            for _ in 0..3 {
                self.receive().await;
            }
        }

        /// Returns the message with this id.
        async fn return_message(&mut self, id: &str) {
            let (exchange, routing_key) = ("".into(), "ballots".into());
            let returning = basic::Return { reply_code: 312, reply_text: "NO_ROUTE".into(), exchange, routing_key };
            self.send_basic(basic::AMQPMethod::Return(returning)).await;
            let properties = BasicProperties::default().with_message_id(id.into());
            let header = AMQPContentHeader { class_id: BASIC, body_size: 1, properties };
            self.send(AMQPFrame::Header(CHANNEL, header)).await;
            self.send(AMQPFrame::Body(CHANNEL, vec![1])).await;
        }
    }

    #[tokio::test]
    async fn persistent_message_is_split_into_negotiated_frames() {
        let mut fixture = fixture(LONG);
        let outcome = fixture.publish(b"0123456789").await;
        let AMQPFrame::Method(CHANNEL, AMQPClass::Basic(basic::AMQPMethod::Publish(publish))) =
            fixture.broker.receive().await
        else {
            panic!("not a basic.publish")
        };
        assert_eq!((publish.routing_key.as_str(), publish.mandatory), ("ballots", true));
        let AMQPFrame::Header(CHANNEL, header) = fixture.broker.receive().await else { panic!("not a header") };
        assert_eq!((header.body_size, header.properties.delivery_mode()), (10, &Some(PERSISTENT)));
        for part in [&b"0123"[..], b"4567", b"89"] {
            assert_eq!(fixture.broker.receive().await, AMQPFrame::Body(CHANNEL, part.to_vec()));
        }
        fixture.broker.send_basic(basic::AMQPMethod::Ack(basic::Ack { delivery_tag: 1, multiple: false })).await;
        outcome.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn returned_message_is_distinguished_from_a_confirmed_one() {
        let mut fixture = fixture(LONG);
        let (one, two) = (fixture.publish(b"1").await, fixture.publish(b"2").await);
        fixture.broker.receive_message().await;
        fixture.broker.receive_message().await;
        fixture.broker.return_message("2").await;
        fixture.broker.send_basic(basic::AMQPMethod::Ack(basic::Ack { delivery_tag: 2, multiple: true })).await;
        one.await.unwrap().unwrap();
        assert!(matches!(two.await.unwrap(), Err(Unconfirmed::Returned(reply_text)) if reply_text == "NO_ROUTE"));
    }

    #[tokio::test]
    async fn protocol_violation_ends_the_connection_with_unknown_outcomes() {
        for is_invalid_frame in [true, false] {
            let mut fixture = fixture(LONG);
            let outcome = fixture.publish(b"1").await;
            fixture.broker.receive_message().await;
            if is_invalid_frame {
                fixture.broker.send_bytes(b"HTTP/1.1 400 Bad Request\r\n").await;
            } else {
                fixture.broker.return_message("7").await;
            }
            assert!(matches!(outcome.await.unwrap(), Err(Unconfirmed::Lost(_))));
            fixture.task.await.unwrap();
            assert!(fixture.outgoing.is_closed());
        }
    }

    #[tokio::test]
    async fn close_by_the_broker_is_reported_with_its_reply_text() {
        let mut fixture = fixture(LONG);
        let outcome = fixture.publish(b"1").await;
        fixture.broker.receive_message().await;
        let close =
            connection::Close { reply_code: 320, reply_text: "CONNECTION_FORCED".into(), class_id: 0, method_id: 0 };
        fixture.broker.send(connection_frame(connection::AMQPMethod::Close(close))).await;
        let Err(Unconfirmed::Lost(why)) = outcome.await.unwrap() else { panic!("not lost") };
        assert!(why.to_string().contains("CONNECTION_FORCED"), "{why}");
    }

    #[tokio::test]
    async fn alarm_is_cleared_when_its_connection_ends() {
        let mut fixture = fixture(LONG);
        fixture.raise_alarm().await;
        drop(fixture.broker);
        fixture.task.await.unwrap();
        assert_eq!(fixture.alarms.reason(), None);
    }

    #[tokio::test]
    async fn alarm_is_raised_and_cleared() {
        let mut fixture = fixture(LONG);
        fixture.raise_alarm().await;
        assert_eq!(fixture.alarms.reason().as_deref(), Some("low on disk"));
        fixture.broker.send(connection_frame(connection::AMQPMethod::Unblocked(connection::Unblocked {}))).await;
        while fixture.alarms.reason().is_some() {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn broker_without_heartbeats_is_disconnected() {
        let mut fixture = fixture(Duration::from_millis(20));
        let outcome = fixture.publish(b"1").await;
        let Err(Unconfirmed::Lost(why)) = outcome.await.unwrap() else { panic!("not lost") };
        assert_eq!(why.to_string(), ConnectionError::HeartbeatTimeout.to_string());
        let mut heartbeats = 0;
        while let Ok(frame) = fixture.broker.reader.next().await {
            heartbeats += usize::from(frame == AMQPFrame::Heartbeat);
        }
        assert!(heartbeats > 0);
    }

    #[tokio::test]
    async fn dropped_publisher_closes_the_connection() {
        let mut fixture = fixture(LONG);
        drop(fixture.outgoing);
        let AMQPFrame::Method(0, AMQPClass::Connection(connection::AMQPMethod::Close(_))) =
            fixture.broker.receive().await
        else {
            panic!("not a connection.close")
        };
        fixture.broker.send(connection_frame(connection::AMQPMethod::CloseOk(connection::CloseOk {}))).await;
        fixture.task.await.unwrap();
    }
}
