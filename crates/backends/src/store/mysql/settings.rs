//! Settings of the server with which an acknowledged commit could be lost.

use std::collections::HashMap;

use sqlx::Row as _;
use sqlx::mysql::MySqlConnection;

use super::connection::simple_query;

/// A message for each such setting of the server, with the value to set instead.
pub(super) async fn unsafe_settings(reader: &mut MySqlConnection) -> sqlx::Result<Vec<String>> {
    let variables = "SHOW GLOBAL VARIABLES WHERE Variable_name IN \
         ('innodb_flush_log_at_trx_commit', 'innodb_doublewrite', 'log_bin', 'sync_binlog')";
    let rows = simple_query(reader, variables).await?;
    let values = rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?)));
    let values: HashMap<String, String> = values.collect::<sqlx::Result<_>>()?;
    Ok(judge(|name| values.get(name).map_or("", String::as_str)))
}

/// `value` returns a setting's value; an empty one for a setting that the server doesn't have.
fn judge<'a>(value: impl Fn(&str) -> &'a str) -> Vec<String> {
    let mut found = Vec::new();
    let flush = value("innodb_flush_log_at_trx_commit");
    // 3 is MariaDB's: 1 with an additional sync.
    if !["1", "3"].contains(&flush) {
        found.push(format!(
            "innodb_flush_log_at_trx_commit is {flush}: a commit is acknowledged before it is on the disk; set it to 1"
        ));
    }
    let doublewrite = value("innodb_doublewrite");
    if ["OFF", "0", "DETECT_ONLY"].contains(&doublewrite) {
        found.push(format!(
            "innodb_doublewrite is {doublewrite}: a page that is half written when power fails can't be restored; set it to ON"
        ));
    }
    let (log_bin, sync_binlog) = (value("log_bin"), value("sync_binlog"));
    if ["ON", "1"].contains(&log_bin) && sync_binlog != "1" {
        found.push(format!(
            "sync_binlog is {sync_binlog} while log_bin is on: after a crash, commits that the binary log lost are rolled back; set it to 1"
        ));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(settings: [(&str, &'static str); 4]) -> Vec<String> {
        judge(|name| settings.iter().find(|(one, _)| *one == name).map_or("", |(_, value)| *value))
    }

    fn server(flush: &'static str, doublewrite: &'static str, log: &'static str, sync: &'static str) -> Vec<String> {
        judged([
            ("innodb_flush_log_at_trx_commit", flush),
            ("innodb_doublewrite", doublewrite),
            ("log_bin", log),
            ("sync_binlog", sync),
        ])
    }

    #[test]
    fn durable_settings_are_accepted() {
        let durable = [
            ["1", "ON", "OFF", "0"],
            ["1", "ON", "ON", "1"],
            ["3", "1", "0", "1000"],
            ["1", "DETECT_AND_RECOVER", "ON", "1"],
        ];
        for [flush, doublewrite, log, sync] in durable {
            assert_eq!(server(flush, doublewrite, log, sync), Vec::<String>::new());
        }
    }

    #[test]
    fn unsafe_settings_are_reported_with_advice() {
        let found = server("2", "OFF", "ON", "0");
        let named = ["innodb_flush_log_at_trx_commit is 2", "innodb_doublewrite is OFF", "sync_binlog is 0"];
        let advice = ["set it to 1", "set it to ON", "set it to 1"];
        assert_eq!(found.len(), 3);
        for ((message, named), advice) in found.iter().zip(named).zip(advice) {
            assert!(message.starts_with(named) && message.ends_with(advice), "{message}");
        }
        assert_eq!(server("0", "DETECT_ONLY", "OFF", "0").len(), 2);
        assert_eq!(judged([("log_bin", "OFF"); 4]).len(), 1, "a flush setting that can't be read isn't trusted");
    }
}
