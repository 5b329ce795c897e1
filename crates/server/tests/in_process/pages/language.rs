//! The language of a poll's own texts.

use throng_domain::poll::{Kind, Locale, OptionOrder};
use throng_testkit::{TestServer, polls};

use crate::pages::{assert_page, submit};

#[test]
fn texts_of_the_poll_have_its_language_and_direction() {
    let server = TestServer::start();
    for (locale, block, label, page_direction) in [
        (Locale::English, "", "", "auto"),
        (Locale::Arabic, r#" lang="ar" dir="rtl""#, r#" lang="ar""#, "rtl"),
        (Locale::TraditionalChinese, r#" lang="zh-Hant" dir="ltr""#, r#" lang="zh-Hant""#, "ltr"),
        (Locale::SimplifiedChinese, r#" lang="zh-Hans" dir="ltr""#, r#" lang="zh-Hans""#, "ltr"),
        (Locale::Japanese, r#" lang="ja" dir="ltr""#, r#" lang="ja""#, "ltr"),
        (Locale::Spanish, r#" lang="es" dir="ltr""#, r#" lang="es""#, "ltr"),
    ] {
        let slug = format!("in-{}", locale.as_str().to_lowercase());
        polls::create(&server, &slug, |poll| {
            (poll.locale, poll.title, poll.intro) = (locale, "Title".to_owned(), "Intro".to_owned());
            (poll.consent, poll.labels) = ("Consent".to_owned(), vec!["A".to_owned(), "B".to_owned()]);
            poll.max_choices = None;
        });
        let form = server.get(&format!("/polls/{slug}"));
        assert_page(&form, 200);
        let text = form.text();
        for part in [
            r#"<html lang="en">"#.to_owned(),
            format!(r#"<main class="poll" dir="{page_direction}">"#),
            format!("<h1{block}>Title</h1>"),
            format!(r#"<p class="intro"{block}>Intro</p>"#),
            format!(r#"<span class="unseen"{label}>Title </span>"#),
            format!("<bdi{label}>A</bdi>"),
            format!(r#"id="consent"{block}>Consent</p>"#),
            // What the script fills in after a vote.
            format!("<bdi{label}></bdi>"),
        ] {
            assert!(text.contains(&part), "{slug}: {part} is missing in {text}");
        }
        let voted = submit(&server, &format!("/polls/{slug}"), "choice=1");
        let outcome = server.get(voted.header("location").unwrap());
        assert!(outcome.text().contains(&format!("<bdi{label}>A</bdi>")), "{}", outcome.text());
        assert_eq!(server.get(&format!("/api/v1/polls/{slug}")).json()["locale"], locale.as_str());
    }
}

/// What is the poll's in a list: its options, not the ranks or the scores.
#[test]
fn lists_have_the_language_of_what_is_in_them() {
    let server = TestServer::start();
    for (slug, kind) in [("ranks", Kind::Ranked), ("scores", Kind::Score)] {
        polls::create(&server, slug, |poll| (poll.locale, poll.kind) = (Locale::Arabic, kind));
    }
    let (ranks, scores) = (server.get("/polls/ranks"), server.get("/polls/scores"));
    assert!(ranks.text().contains(r#"<option value="1" lang="ar">Headliners</option>"#), "{}", ranks.text());
    assert_eq!(ranks.text().matches(r#"<span><bdi lang="ar">"#).count(), 0, "{}", ranks.text());
    assert_eq!(scores.text().matches(r#"<span><bdi lang="ar">"#).count(), 5, "{}", scores.text());
    assert!(scores.text().contains(r#"<option value="1">1</option>"#), "{}", scores.text());
}

/// Another order for each visitor, and yet one page for all.
#[test]
fn page_of_a_shuffled_poll_is_the_same_for_everybody() {
    let server = TestServer::start();
    polls::create(&server, "shuffled", |poll| poll.option_order = OptionOrder::Shuffle);
    let page = server.get("/polls/shuffled");
    assert_page(&page, 200);
    assert_eq!(page.text(), server.get("/polls/shuffled").text());
    assert!(page.header("cache-control").unwrap().contains("s-maxage=1"));
    let (fixed, shuffles) = (server.get("/"), "numbersFrom");
    assert!(page.text().contains(shuffles) && !fixed.text().contains(shuffles));
    assert_eq!(server.get("/api/v1/polls/shuffled").json()["option_order"], "shuffle");
    assert_eq!(server.get("/api/v1/polls/demo").json()["option_order"], "fixed");
}
