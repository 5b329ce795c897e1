//! Polls for these tests to vote in.

use throng_domain::audit::Author;
use throng_domain::new_poll::NewPoll;
use throng_domain::poll::{Kind, Slug};

use crate::server::{NOW, TestServer};

/// An open poll of this slug, `change`d before it is created, and known to the server when this returns.
pub fn create(server: &TestServer, slug: &str, change: impl FnOnce(&mut NewPoll)) {
    let slug: Slug = slug.parse().unwrap();
    let mut new = NewPoll::demo(slug, NOW);
    change(&mut new);
    if new.kind == Kind::Single {
        (new.min_choices, new.max_choices) = (Some(1), Some(1));
    }
    let app = &server.app;
    let create = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            app.source.store.create_poll(new, &Author::THRONG).await.unwrap();
            app.polls.reload(&app.source).await.unwrap();
        });
    };
    // A thread of its own, since the caller's may be running a browser.
    std::thread::scope(|scope| scope.spawn(create).join().unwrap());
}
