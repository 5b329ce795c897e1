//! What is on a system's queue, for a test that has an account on the broker.

use lapin::options::{
    BasicAckOptions, BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use tokio::runtime::Runtime;

use crate::scaled_out::system::System;

/// The ballots' queue.
pub struct Queue {
    name: String,
    runtime: Runtime,
    channel: Channel,
    _connection: Connection,
}

/// What a message says of itself, and its bytes.
pub type Message = (BasicProperties, Vec<u8>);

impl Queue {
    /// That of this system, which must be there.
    pub fn of(system: &System) -> Self {
        let runtime = Runtime::new().unwrap();
        let (connection, channel) = runtime.block_on(async {
            let connection = Connection::connect(system.setting("QUEUE_URL"), ConnectionProperties::default());
            let connection = connection.await.unwrap();
            let channel = connection.create_channel().await.unwrap();
            channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
            (connection, channel)
        });
        Self { name: format!("{}.ballots", system.name()), runtime, channel, _connection: connection }
    }

    /// How many messages nobody has taken yet.
    pub fn waiting(&self) -> u32 {
        let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let declared = self.channel.queue_declare(self.name.as_str().into(), options, FieldTable::default());
        self.runtime.block_on(declared).unwrap().message_count()
    }

    /// Takes everything off.
    pub fn take_all(&self) -> Vec<Message> {
        self.runtime.block_on(async {
            let mut messages = Vec::new();
            let name = || self.name.as_str().into();
            while let Some(got) = self.channel.basic_get(name(), BasicGetOptions::default()).await.unwrap() {
                got.acker.ack(BasicAckOptions::default()).await.unwrap();
                messages.push((got.delivery.properties, got.delivery.data));
            }
            messages
        })
    }

    /// Puts these on it.
    pub fn put(&self, messages: &[Message]) {
        self.runtime.block_on(async {
            for (properties, bytes) in messages {
                let options = BasicPublishOptions::default();
                let name = self.name.as_str().into();
                let published = self.channel.basic_publish("".into(), name, options, bytes, properties.clone()).await;
                assert!(published.unwrap().await.unwrap().is_ack());
            }
        });
    }
}
