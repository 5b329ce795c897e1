//! The page of a poll with invitation codes, without JavaScript.

use throng_domain::new_poll::NewPoll;
use throng_domain::policy::Policy;
use throng_testkit::{Answer, NOW, TestServer, codes};

use crate::pages::{assert_page, submit, voters};

fn server() -> (TestServer, Vec<String>) {
    let server = TestServer::start();
    server.create_poll(NewPoll { policy: Policy::Code, ..NewPoll::demo("board".parse().unwrap(), NOW) });
    let (codes, _) = codes::create(&server, "board", 3);
    (server, codes)
}

/// What tells a screen reader that the code is what was refused, and why.
const MARKED_INVALID: &str = r#"aria-invalid="true" aria-describedby="message code-hint""#;

/// What is in a page's field for the code.
fn code(page: &Answer) -> &str {
    page.text().split_once(r#"name="code" type="text" value=""#).unwrap().1.split_once('"').unwrap().0
}

#[test]
fn page_asks_for_a_code_and_is_the_same_for_everybody() {
    let (server, _) = server();
    let page = server.get("/polls/board");
    assert_page(&page, 200);
    assert_eq!(code(&page), "");
    for part in ["Your code", "autocomplete=\"off\"", "autocapitalize=\"characters\"", "inputmode=\"text\""] {
        assert!(page.text().contains(part), "{part}: {}", page.text());
    }
    assert!(page.header("cache-control").unwrap().contains("s-maxage=1"), "{page:?}");
    assert!(!server.get("/polls/demo").text().contains("name=\"code\""));
}

#[test]
fn code_in_the_address_is_in_the_form_all_the_way() {
    let (server, codes) = server();
    let typed = codes[0].to_lowercase().replace('-', "");
    let page = server.get(&format!("/polls/board?code={typed}"));
    assert_page(&page, 200);
    assert_eq!(code(&page), codes[0]);
    assert_eq!(page.header("cache-control"), Some("private, no-cache"));
    let next = format!("content=\"0; url=/polls/board/ballot?code={}\"", codes[0]);
    assert!(page.text().contains(&next), "{}", page.text());
    let led = server.get(&format!("/polls/board/ballot?code={}", codes[0]));
    assert_eq!(led.status, 303);
    let page = server.get(led.header("location").unwrap());
    assert_page(&page, 200);
    assert_eq!(code(&page), codes[0]);
    // Nothing else from an address is shown, and no code where there are none.
    for path in ["/polls/board?code=%22%3E%3Cscript%3E", "/polls/board?code=1234"] {
        let page = server.get(path);
        assert_eq!(
            (code(&page), page.header("cache-control")),
            ("", server.get("/polls/board").header("cache-control"))
        );
    }
    let demo = server.get(&format!("/polls/demo?code={}", codes[0]));
    assert!(!demo.text().contains(&codes[0]), "{}", demo.text());
}

#[test]
fn form_with_a_code_counts_once() {
    let (server, codes) = server();
    let voted = submit(&server, "/polls/board", &format!("choice=2&code={}", codes[0].to_lowercase()));
    assert_eq!(voted.status, 303, "{voted:?}");
    let address = voted.header("location").unwrap();
    assert!(!address.contains("code") && !voted.header("set-cookie").unwrap().contains(&codes[0]), "{voted:?}");
    let again = submit(&server, "/polls/board", &format!("choice=1&code={}", codes[0]));
    if !server.is_behind_a_broker() {
        assert_page(&again, 409);
        assert!(again.text().contains("You have already voted. Your first vote stands"), "{}", again.text());
        assert!(again.text().contains(r#"<li class="result own"#), "{}", again.text());
    }
    assert_eq!(voters(&server, "board"), 1);
}

#[test]
fn code_that_is_missing_or_wrong_can_be_corrected_on_the_page() {
    let (server, codes) = server();
    for (field, status, shown, message) in [
        ("", 403, "", "This poll is for people with a code. Enter yours, then vote."),
        ("&code=", 403, "", "This poll is for people with a code. Enter yours, then vote."),
        ("&code=0000+0000+0000+000u", 403, "0000 0000 0000 000u", "This code is not valid in this poll"),
        ("&code=0000-0000-0000-0000", 403, "0000-0000-0000-0000", "This code is not valid in this poll"),
        ("&code=%22%3E%3Cscript%3E", 403, "&#34;&#62;&#60;script&#62;", "This code is not valid in this poll"),
    ] {
        let page = submit(&server, "/polls/board", &format!("choice=2{field}"));
        assert_page(&page, status);
        assert_eq!((code(&page), page.header("cache-control")), (shown, Some("no-store")));
        assert!(page.text().contains(message) && page.text().contains(r#"value="2" checked"#), "{}", page.text());
        assert!(page.text().contains(MARKED_INVALID), "{}", page.text());
    }
    assert!(!server.get("/polls/board").text().contains("aria-invalid"));
    let without_choice = submit(&server, "/polls/board", &format!("code={}", codes[0]));
    assert_page(&without_choice, 422);
    assert!(!without_choice.text().contains("aria-invalid"), "{}", without_choice.text());
    assert_page(&submit(&server, "/polls/board", &format!("choice=2&code={}", "0".repeat(65))), 422);
    assert_eq!(voters(&server, "board"), 0);
    assert_eq!(submit(&server, "/polls/board", &format!("choice=2&code={}", codes[0])).status, 303);
}
