//! What runs behind a pipe: puts messages on the connection, and hears what the broker says of them.

use std::time::Duration;

use amq_protocol::frame::{AMQPContentHeader, AMQPFrame};
use amq_protocol::protocol::{AMQPClass, BasicProperties, basic, connection};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tracing::debug;

use super::frames::{FrameReader, FrameWriter};
use super::greeting::{Agreed, on_connection};
use super::ledger::{Ledger, Sender};
use super::{Broken, CHANNEL};
use crate::queue::rabbitmq::PERSISTENT;
use crate::queue::rabbitmq::alarms::Alarm;
use crate::queue::rabbitmq::unconfirmed::Unconfirmed;

/// How long taking leave may take.
const LEAVE_MAX: Duration = Duration::from_secs(1);

/// AMQP's number for what messages are part of.
const BASIC: u16 = 60;

/// A message to be sent.
#[derive(Debug)]
pub(super) struct Post {
    pub(super) body: Vec<u8>,
    pub(super) sender: Sender,
}

/// One connection's work, all in one task on the runtime that opened it.
pub(super) struct Driver<R, W> {
    pub(super) reader: FrameReader<R>,
    pub(super) writer: FrameWriter<W>,
    pub(super) agreed: Agreed,
    /// Where all messages go.
    pub(super) queue: String,
    pub(super) posts: mpsc::Receiver<Post>,
    pub(super) alarm: Alarm,
}

/// What was said on the connection.
struct Spoken {
    ledger: Ledger,
    /// The broker's words on a message that it returns; the message follows.
    returning: Option<String>,
    heard_at: Instant,
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Driver<R, W> {
    /// Runs until the pipe is dropped or the connection is lost.
    pub(super) async fn run(mut self) {
        let mut spoken = Spoken { ledger: Ledger::default(), returning: None, heard_at: Instant::now() };
        let why = match self.carry(&mut spoken).await {
            Ok(()) => {
                let _ = timeout(LEAVE_MAX, self.leave()).await;
                "nobody waits for it".to_owned()
            }
            Err(broken) => {
                if let Broken::Closed(_) = broken {
                    let _ = timeout(LEAVE_MAX, self.let_go()).await;
                }
                broken.to_string()
            }
        };
        debug!(why, "a connection for ballots has ended");
        spoken.ledger.lose(&why);
        self.posts.close();
        while let Some(post) = self.posts.recv().await {
            let _ = post.sender.send(Err(Unconfirmed::NotSent));
        }
    }

    async fn carry(&mut self, spoken: &mut Spoken) -> Result<(), Broken> {
        let mut pulse = interval(self.agreed.heartbeat / 2);
        pulse.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                post = self.posts.recv() => match post {
                    Some(post) => self.put(post, &mut spoken.ledger)?,
                    None => return Ok(()),
                },
                sent = self.writer.send(), if self.writer.has_unsent() => sent?,
                frame = self.reader.next() => self.hear(frame?, spoken)?,
                _ = pulse.tick() => {
                    if spoken.heard_at.elapsed() > self.agreed.heartbeat * 2 {
                        return Err(Broken::Silent);
                    }
                    self.writer.put(&AMQPFrame::Heartbeat)?;
                }
            }
        }
    }

    fn put(&mut self, Post { body, sender }: Post, ledger: &mut Ledger) -> Result<(), Broken> {
        let number = ledger.enter(sender);
        let publish = basic::Publish {
            exchange: "".into(),
            routing_key: self.queue.as_str().into(),
            mandatory: true,
            immediate: false,
        };
        // By its id a message is known again that comes back.
        let properties =
            BasicProperties::default().with_delivery_mode(PERSISTENT).with_message_id(number.to_string().into());
        let header = AMQPContentHeader { class_id: BASIC, body_size: body.len() as u64, properties };
        self.writer.put(&AMQPFrame::Method(CHANNEL, AMQPClass::Basic(basic::AMQPMethod::Publish(publish))))?;
        self.writer.put(&AMQPFrame::Header(CHANNEL, header))?;
        for piece in body.chunks(self.agreed.body_max) {
            self.writer.put(&AMQPFrame::Body(CHANNEL, piece.to_vec()))?;
        }
        Ok(())
    }

    fn hear(&mut self, frame: AMQPFrame, spoken: &mut Spoken) -> Result<(), Broken> {
        spoken.heard_at = Instant::now();
        match frame {
            AMQPFrame::Method(_, AMQPClass::Basic(basic::AMQPMethod::Ack(ack))) => {
                spoken.settle(ack.delivery_tag, ack.multiple, true)?;
            }
            AMQPFrame::Method(_, AMQPClass::Basic(basic::AMQPMethod::Nack(nack))) => {
                spoken.settle(nack.delivery_tag, nack.multiple, false)?;
            }
            AMQPFrame::Method(_, AMQPClass::Basic(basic::AMQPMethod::Return(returning))) => {
                spoken.returning = Some(returning.reply_text.to_string());
            }
            AMQPFrame::Header(_, AMQPContentHeader { properties, .. }) => {
                let number = properties.message_id().as_ref().and_then(|id| id.as_str().parse().ok());
                let known = spoken.returning.take().zip(number);
                if !known.is_some_and(|(words, number)| spoken.ledger.returned(number, words)) {
                    return Err(Broken::Unreadable("a message that isn't on its way comes back".to_owned()));
                }
            }
            AMQPFrame::Method(_, AMQPClass::Connection(connection::AMQPMethod::Blocked(blocked))) => {
                self.alarm.raise(blocked.reason.to_string());
            }
            AMQPFrame::Method(_, AMQPClass::Connection(connection::AMQPMethod::Unblocked(_))) => self.alarm.clear(),
            AMQPFrame::Method(_, other) => return Err(Broken::by(&other)),
            // The rest of a message that comes back, and signs of life.
            AMQPFrame::Body(..) | AMQPFrame::Heartbeat => {}
            AMQPFrame::ProtocolHeader(_) | AMQPFrame::InvalidHeartbeat(_) => {
                return Err(Broken::Unreadable(frame.to_string()));
            }
        }
        Ok(())
    }

    /// Says that the broker's end of the connection was heard.
    async fn let_go(&mut self) -> Result<(), Broken> {
        self.writer.put(&on_connection(connection::AMQPMethod::CloseOk(connection::CloseOk {})))?;
        self.writer.send().await
    }

    /// Says that this is the end, and waits until the broker has heard it.
    async fn leave(&mut self) -> Result<(), Broken> {
        let farewell = connection::Close { reply_code: 200, reply_text: "OK".into(), class_id: 0, method_id: 0 };
        self.writer.put(&on_connection(connection::AMQPMethod::Close(farewell)))?;
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

impl Spoken {
    fn settle(&mut self, number: u64, and_before: bool, took: bool) -> Result<(), Broken> {
        let known = self.ledger.settle(number, and_before, took);
        known.then_some(()).ok_or_else(|| Broken::Unreadable("the confirm of a message that was never sent".to_owned()))
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

    /// The other end of a pipe.
    struct FakeBroker {
        reader: FrameReader<ReadHalf<DuplexStream>>,
        writer: FrameWriter<WriteHalf<DuplexStream>>,
    }

    struct Ground {
        broker: FakeBroker,
        posts: mpsc::Sender<Post>,
        alarms: Arc<Alarms>,
        driver: JoinHandle<()>,
    }

    fn ground(heartbeat: Duration) -> Ground {
        let (ours, theirs) = duplex(64 * 1024);
        let ((reader, writer), (their_reader, their_writer)) = (split(ours), split(theirs));
        let (posts, posted) = mpsc::channel(8);
        let alarms = Arc::new(Alarms::default());
        let driver = Driver {
            reader: FrameReader::new(reader),
            writer: FrameWriter::new(writer),
            agreed: Agreed { body_max: 4, heartbeat, cluster: None },
            queue: "ballots".to_owned(),
            posts: posted,
            alarm: alarms.of_connection(),
        };
        let broker = FakeBroker { reader: FrameReader::new(their_reader), writer: FrameWriter::new(their_writer) };
        Ground { broker, posts, alarms, driver: tokio::spawn(driver.run()) }
    }

    const RARELY: Duration = Duration::from_secs(60);

    impl Ground {
        async fn post(&self, body: &[u8]) -> oneshot::Receiver<Result<(), Unconfirmed>> {
            let (sender, outcome) = oneshot::channel();
            self.posts.send(Post { body: body.to_vec(), sender }).await.unwrap();
            outcome
        }

        /// The broker says that it takes nothing, which is heard.
        async fn raise_alarm(&mut self) {
            let blocked = connection::Blocked { reason: "low on disk".into() };
            self.broker.say(on_connection(connection::AMQPMethod::Blocked(blocked))).await;
            while self.alarms.words().is_none() {
                tokio::task::yield_now().await;
            }
        }
    }

    impl FakeBroker {
        async fn say_bytes(&mut self, bytes: &[u8]) {
            self.writer.to.write_all(bytes).await.unwrap();
        }

        async fn say(&mut self, frame: AMQPFrame) {
            self.writer.put(&frame).unwrap();
            self.writer.send().await.unwrap();
        }

        async fn say_of_ballots(&mut self, method: basic::AMQPMethod) {
            self.say(AMQPFrame::Method(CHANNEL, AMQPClass::Basic(method))).await;
        }

        /// What is heard next, signs of life aside.
        async fn hear(&mut self) -> AMQPFrame {
            loop {
                let frame = self.reader.next().await.unwrap();
                if frame != AMQPFrame::Heartbeat {
                    return frame;
                }
            }
        }

        /// Hears a message of one frame.
        async fn hear_message(&mut self) {
            for _ in 0..3 {
                self.hear().await;
            }
        }

        /// Sends back the message of this id.
        async fn give_back(&mut self, id: &str) {
            let (exchange, routing_key) = ("".into(), "ballots".into());
            let returning = basic::Return { reply_code: 312, reply_text: "NO_ROUTE".into(), exchange, routing_key };
            self.say_of_ballots(basic::AMQPMethod::Return(returning)).await;
            let properties = BasicProperties::default().with_message_id(id.into());
            self.say(AMQPFrame::Header(CHANNEL, AMQPContentHeader { class_id: BASIC, body_size: 1, properties })).await;
            self.say(AMQPFrame::Body(CHANNEL, vec![1])).await;
        }
    }

    #[tokio::test]
    async fn a_message_goes_out_in_frames_of_the_agreed_size_and_is_to_be_kept() {
        let mut ground = ground(RARELY);
        let outcome = ground.post(b"0123456789").await;
        let AMQPFrame::Method(CHANNEL, AMQPClass::Basic(basic::AMQPMethod::Publish(publish))) =
            ground.broker.hear().await
        else {
            panic!("it is no message")
        };
        assert_eq!((publish.routing_key.as_str(), publish.mandatory), ("ballots", true));
        let AMQPFrame::Header(CHANNEL, header) = ground.broker.hear().await else { panic!("it has no header") };
        assert_eq!((header.body_size, header.properties.delivery_mode()), (10, &Some(PERSISTENT)));
        for piece in [&b"0123"[..], b"4567", b"89"] {
            assert_eq!(ground.broker.hear().await, AMQPFrame::Body(CHANNEL, piece.to_vec()));
        }
        ground.broker.say_of_ballots(basic::AMQPMethod::Ack(basic::Ack { delivery_tag: 1, multiple: false })).await;
        outcome.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_message_that_comes_back_is_told_from_one_that_is_taken() {
        let mut ground = ground(RARELY);
        let (one, two) = (ground.post(b"1").await, ground.post(b"2").await);
        ground.broker.hear_message().await;
        ground.broker.hear_message().await;
        ground.broker.give_back("2").await;
        ground.broker.say_of_ballots(basic::AMQPMethod::Ack(basic::Ack { delivery_tag: 2, multiple: true })).await;
        one.await.unwrap().unwrap();
        assert!(matches!(two.await.unwrap(), Err(Unconfirmed::Returned(words)) if words == "NO_ROUTE"));
    }

    #[tokio::test]
    async fn what_makes_no_sense_ends_it_and_nobody_knows_what_came_of_the_messages() {
        for nonsense in [true, false] {
            let mut ground = ground(RARELY);
            let outcome = ground.post(b"1").await;
            ground.broker.hear_message().await;
            if nonsense {
                ground.broker.say_bytes(b"HTTP/1.1 400 Bad Request\r\n").await;
            } else {
                ground.broker.give_back("7").await;
            }
            assert!(matches!(outcome.await.unwrap(), Err(Unconfirmed::Lost(_))));
            ground.driver.await.unwrap();
            assert!(ground.posts.is_closed());
        }
    }

    #[tokio::test]
    async fn a_broker_that_closes_it_says_why() {
        let mut ground = ground(RARELY);
        let outcome = ground.post(b"1").await;
        ground.broker.hear_message().await;
        let close =
            connection::Close { reply_code: 320, reply_text: "CONNECTION_FORCED".into(), class_id: 0, method_id: 0 };
        ground.broker.say(on_connection(connection::AMQPMethod::Close(close))).await;
        let Err(Unconfirmed::Lost(why)) = outcome.await.unwrap() else { panic!("it isn't lost") };
        assert!(why.to_string().contains("CONNECTION_FORCED"), "{why}");
    }

    #[tokio::test]
    async fn an_alarm_ends_with_the_connection_that_heard_it() {
        let mut ground = ground(RARELY);
        ground.raise_alarm().await;
        drop(ground.broker);
        ground.driver.await.unwrap();
        assert_eq!(ground.alarms.words(), None);
    }

    #[tokio::test]
    async fn an_alarm_is_heard_and_its_end() {
        let mut ground = ground(RARELY);
        ground.raise_alarm().await;
        assert_eq!(ground.alarms.words().as_deref(), Some("low on disk"));
        ground.broker.say(on_connection(connection::AMQPMethod::Unblocked(connection::Unblocked {}))).await;
        while ground.alarms.words().is_some() {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_broker_that_falls_silent_is_given_up_though_it_is_sent_signs_of_life() {
        let mut ground = ground(Duration::from_millis(20));
        let outcome = ground.post(b"1").await;
        let Err(Unconfirmed::Lost(why)) = outcome.await.unwrap() else { panic!("it isn't lost") };
        assert_eq!(why.to_string(), Broken::Silent.to_string());
        let mut signs = 0;
        while let Ok(frame) = ground.broker.reader.next().await {
            signs += usize::from(frame == AMQPFrame::Heartbeat);
        }
        assert!(signs > 0);
    }

    #[tokio::test]
    async fn it_takes_its_leave() {
        let mut ground = ground(RARELY);
        drop(ground.posts);
        let AMQPFrame::Method(0, AMQPClass::Connection(connection::AMQPMethod::Close(_))) = ground.broker.hear().await
        else {
            panic!("it doesn't")
        };
        ground.broker.say(on_connection(connection::AMQPMethod::CloseOk(connection::CloseOk {}))).await;
        ground.driver.await.unwrap();
    }
}
