//! Where settings come from, and what is said of those that can't be used.

use crate::shell::{Ran, Shell};

#[test]
fn the_nearest_setting_wins() {
    let shell = Shell::new();
    let database = |ran: Ran| ran.json()["database"].as_str().unwrap().to_owned();
    let create = "schema create --json";
    assert_eq!(database(shell.run(create)), "var/throng.db");
    for file in [".env", ".env.local", ".env.prod", ".env.prod.local"] {
        if file == ".env" {
            shell.write(file, "APP_ENV=prod\nDATABASE_URL=sqlite://.env.db\n");
        } else {
            shell.write(file, &format!("DATABASE_URL=sqlite://{file}.db\n"));
        }
        assert_eq!(database(shell.run(create)), format!("{file}.db"));
    }
    let environment = [("DATABASE_URL", "sqlite://environment.db")];
    let args = ["schema", "create", "--json"];
    let ran = Ran(shell.command(&args).envs(environment).output().unwrap());
    assert_eq!(database(ran), "environment.db");
    let args = ["schema", "create", "--json", "--database-url", "sqlite://flag.db"];
    let ran = Ran(shell.command(&args).envs(environment).output().unwrap());
    assert_eq!(database(ran), "flag.db");
}

#[test]
fn the_environment_decides_which_files_are_read() {
    let shell = Shell::new();
    shell.write(".env.prod", "DATABASE_URL=sqlite://prod.db\n");
    shell.write(".env.dev", "DATABASE_URL=sqlite://dev.db\n");
    let args = ["schema", "create", "--json"];
    let ran = Ran(shell.command(&args).env("APP_ENV", "prod").output().unwrap());
    assert_eq!(ran.json()["database"], "prod.db");
    assert_eq!(shell.run("schema create --json").json()["database"], "dev.db");
}

#[test]
fn all_faults_are_told_at_once_with_their_origin() {
    let shell = Shell::new();
    shell.write(".env", "LISTEN=8080\nQUEUE_URL=kafka://host\n");
    let mut command = shell.command(&["--database-url", "oracle://user:hunter2@host/name"]);
    let ran = Ran(command.env("DEFAULT_POLL", "No Slug").env("LOG", "throng=loud").output().unwrap());
    ran.fails(
        1,
        &[
            "LISTEN (from .env)",
            "QUEUE_URL (from .env)",
            "DATABASE_URL (from --database-url)",
            "DEFAULT_POLL (from the environment)",
            "LOG (from the environment)",
        ],
    );
    assert!(!ran.complaint().contains("hunter2"), "{}", ran.complaint());
}

#[test]
fn what_lets_everybody_in_is_refused_at_the_start_in_production() {
    let shell = Shell::new();
    shell.write(".env.local", "APP_ENV=prod\nCORS_ALLOW_ORIGIN=*\nCORS_ALLOW_CREDENTIALS=true\n");
    shell.write(".env", "QUEUE_URL=amqp://guest:guest@127.0.0.1:1/%2f\n");
    shell.run("serve --listen 127.0.0.1:0").fails(
        1,
        &[
            "CORS_ALLOW_CREDENTIALS (from .env.local)",
            "list your pages' origins in CORS_ALLOW_ORIGIN",
            "QUEUE_URL (from .env)",
            "rabbitmqctl add_user",
            "APP_SECRET",
            "openssl rand -hex 32",
        ],
    );
    assert!(!shell.path("var").exists(), "nothing was made before");
}

#[test]
fn a_broken_env_file_is_named() {
    let shell = Shell::new();
    shell.write(".env", "this is no setting\n");
    shell.run("poll list").fails(1, &[".env"]);
}
