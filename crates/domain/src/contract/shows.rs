//! Shows: changed only by callers that saw their last version, each change noted.

use super::support::done;
use crate::audit::{Action, Author};
use crate::ids::Slug;
use crate::show::{SHOW_POLLS_MAX, SHOWS_MAX, Show};
use crate::store::{Store, StoreError};

fn slug(text: &str) -> Slug {
    text.parse().expect("the suite's slugs are valid")
}

fn show(name: &str, version: u64) -> Show {
    Show { slug: slug(name), title: "Finale \u{1f3b6}".to_owned(), polls: vec![slug("b"), slug("a")], version }
}

/// A show is stored as it is, and changed or deleted by who has seen it last.
pub async fn shows_change_only_from_the_version_seen(store: &dyn Store) {
    let first = show("show-2", 1);
    done(store.put_show(&first, &Author::new("anna", "spring")).await);
    done(store.put_show(&show("show-1", 1), &Author::THRONG).await);
    assert_eq!(done(store.shows().await), [show("show-1", 1), first.clone()]);
    for stale in [show("show-2", 1), show("show-2", 3), show("show-3", 2)] {
        let refused = store.put_show(&stale, &Author::THRONG).await;
        assert!(matches!(refused, Err(StoreError::Conflict(_))), "{stale:?}: {refused:?}");
    }
    let changed = Show { title: "Other".to_owned(), polls: Vec::new(), version: 2, ..first.clone() };
    done(store.put_show(&changed, &Author::THRONG).await);
    assert_eq!(done(store.shows().await)[1], changed);
    assert!(matches!(store.delete_show(&first, &Author::THRONG).await, Err(StoreError::Conflict(_))));
    done(store.delete_show(&changed, &Author::new("ben", "over")).await);
    assert_eq!(done(store.shows().await), [show("show-1", 1)]);
    assert!(matches!(store.delete_show(&changed, &Author::THRONG).await, Err(StoreError::Conflict(_))));
    let log = done(store.audit_log(None, None, 10).await);
    let noted: Vec<_> = log.iter().map(|entry| (entry.action, entry.author.as_str())).collect();
    let expected = [
        (Action::DeleteShow, "ben"),
        (Action::EditShow, "throng"),
        (Action::CreateShow, "throng"),
        (Action::CreateShow, "anna"),
    ];
    assert_eq!(noted, expected);
    assert_eq!(log[3].changes["show"]["polls"], serde_json::json!(["b", "a"]));
}

/// As many as are allowed, each as large as is allowed, and none that breaks a rule.
pub async fn shows_are_limited(store: &dyn Store) {
    let polls = (0..SHOW_POLLS_MAX).map(|number| slug(&format!("{number:064}"))).collect();
    let largest = Show { title: "\u{1f3b6}".repeat(200), polls, ..show("largest", 1) };
    done(store.put_show(&largest, &Author::THRONG).await);
    assert_eq!(done(store.shows().await).first(), Some(&largest));
    let too_large = Show { title: String::new(), ..show("other", 1) };
    assert!(matches!(store.put_show(&too_large, &Author::THRONG).await, Err(StoreError::Rejected(_))));
    for number in 1..SHOWS_MAX {
        done(store.put_show(&show(&format!("show-{number}"), 1), &Author::THRONG).await);
    }
    assert!(matches!(store.put_show(&show("other", 1), &Author::THRONG).await, Err(StoreError::Rejected(_))));
    done(store.put_show(&Show { version: 2, ..largest }, &Author::THRONG).await);
}
