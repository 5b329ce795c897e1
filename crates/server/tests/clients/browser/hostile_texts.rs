//! Texts that would be code, in a real browser.

use throng_testkit::polls;

use crate::browser::voting::vote;
use crate::webdriver::{Browser, browse};

const TEXTS: [&str; 5] = [
    "<img src=x onerror=pwned=1>",
    "</script><script>pwned=1</script>",
    "\" onmouseover=\"pwned=1\" autofocus onfocus=\"pwned=1",
    "javascript:pwned=1",
    "&lt;b&gt;",
];

/// Whether a script of one of these texts has run, or made an element.
async fn is_pwned(browser: &Browser) -> bool {
    let found = browser
        .run("return 'pwned' in window || document.querySelector('main img, main script[src], [onfocus]') !== null");
    found.await.as_bool().unwrap()
}

/// S8: the page that the server makes, and what its script makes of a result, show a text as it is.
#[test]
fn hostile_texts_are_shown_and_never_run() {
    browse(true, async |browser| {
        polls::create(&browser.server, "hostile", |poll| {
            (poll.title, poll.intro, poll.consent) = (TEXTS.concat(), TEXTS.concat(), TEXTS.concat());
            poll.labels = TEXTS.map(str::to_owned).into();
        });
        browser.goto("/polls/hostile").await;
        assert_eq!(browser.texts("h1").await, [TEXTS.concat()]);
        assert_eq!(browser.texts(".option bdi").await, TEXTS);
        assert!(!is_pwned(browser).await);
        vote(browser, &[1, 2]).await;
        browser.wait_for(".results").await;
        assert_eq!(browser.texts(".results bdi").await, TEXTS);
        assert!(!is_pwned(browser).await);
        browser.client.refresh().await.unwrap();
        browser.wait_for(".results").await;
        assert_eq!(browser.texts(".own bdi").await, TEXTS[..2]);
        assert!(!is_pwned(browser).await);
    });
}
