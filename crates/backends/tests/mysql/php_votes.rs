//! The votes of the PHP system.

use throng_backends::store::php_votes::{parse_url, read};
use throng_domain::store::StoreError;

use super::{OwnDatabase, execute};

#[tokio::test]
async fn votes_of_the_php_system_are_read() {
    let database = OwnDatabase::create().await;
    let url = parse_url(&format!("{}?serverVersion=5.7&charset=utf8mb4", database.url())).unwrap();
    let missing = read(&url).await;
    assert!(matches!(&missing, Err(StoreError::Rejected(why)) if why.contains("no table")), "{missing:?}");
    let mut php = database.connect().await;
    let create = "CREATE TABLE poll_entry (id INT AUTO_INCREMENT NOT NULL PRIMARY KEY, label INT NOT NULL); \
                  INSERT INTO poll_entry (label) VALUES (1), (1), (5), (2), (1)";
    execute(&mut php, create.to_owned()).await;
    assert_eq!(read(&url).await.unwrap(), [(Some(1), 3), (Some(2), 1), (Some(5), 1)]);
    let early = "DROP TABLE poll_entry; CREATE TABLE poll_entry (id INT NOT NULL PRIMARY KEY, label SMALLINT, `count` INT UNSIGNED); \
                 INSERT INTO poll_entry VALUES (1, 1, 4000000000), (2, NULL, 0), (3, 3, NULL)";
    execute(&mut php, early.to_owned()).await;
    assert_eq!(read(&url).await.unwrap(), [(None, 0), (Some(1), 4_000_000_000), (Some(3), 0)]);
}
