//! The votes of the PHP system.

use throng_backends::store::php_votes::{parse_url, read};
use throng_domain::store::StoreError;

use super::database::Database;

#[tokio::test]
async fn votes_of_the_php_system_are_read() {
    let database = Database::empty().await;
    let url = parse_url(&format!("{}?serverVersion=13&charset=utf8", database.text_url())).unwrap();
    let missing = read(&url).await;
    assert!(matches!(&missing, Err(StoreError::Rejected(why)) if why.contains("no table")), "{missing:?}");
    let create = "CREATE TABLE poll_entry (id SERIAL PRIMARY KEY, label INT NOT NULL); \
                  INSERT INTO poll_entry (label) VALUES (1), (1), (5), (2), (1)";
    database.run(create).await;
    assert_eq!(read(&url).await.unwrap(), [(Some(1), 3), (Some(2), 1), (Some(5), 1)]);
    let early = "DROP TABLE poll_entry; CREATE TABLE poll_entry (id INT PRIMARY KEY, label SMALLINT, \"count\" BIGINT); \
                 INSERT INTO poll_entry VALUES (1, 1, 4000000000), (3, 3, NULL)";
    database.run(early).await;
    assert_eq!(read(&url).await.unwrap(), [(Some(1), 4_000_000_000), (Some(3), 0)]);
    database.run("INSERT INTO poll_entry VALUES (4, 4, -1)").await;
    let negative = read(&url).await;
    assert!(matches!(&negative, Err(StoreError::Rejected(why)) if why.contains("negative")), "{negative:?}");
}
