//! Help, completions and manual pages.

use crate::cli::workspace::Workspace;

#[test]
fn help_is_enough_by_itself() {
    let workspace = Workspace::new();
    for (args, told) in [
        ("help", ["Examples:", "throng poll create song", "DATABASE_URL"]),
        ("help poll create", ["--closes-at", "+2h", "Examples:"]),
        ("poll close --help", ["--at", "throng poll close song --at +10m", "Examples:"]),
        ("schema status --help", ["Ends with 0", "1 if one is missing", "--json"]),
        ("poll export --help", ["jsonl", "--output", "Examples:"]),
    ] {
        let help = workspace.run(args).succeeds();
        for part in told {
            assert!(help.contains(part), "`{part}` is missing in `throng {args}`: {help}");
        }
    }
    for (args, flag) in [("bench --help", "--database-url"), ("worker --help", "--listen"), ("man --help", "--app-env")]
    {
        let help = workspace.run(args).succeeds();
        assert!(!help.contains(flag), "`throng {args}` shows {flag}, which it refuses: {help}");
    }
    workspace.run("pol list").fails(2, &["'poll'"]);
    workspace.run("poll").fails(2, &["create", "recount"]);
    workspace.run("bench --listen 127.0.0.1:9999").fails(2, &["--listen has no meaning here", "--url"]);
    workspace.run("poll list --listen 127.0.0.1:9999").fails(2, &["--listen has no meaning here", "serves nothing"]);
    workspace.run("dead list --database-url sqlite://x.db").fails(2, &["--database-url has no meaning", "QUEUE_URL"]);
    workspace.run("worker --listen 127.0.0.1:9999").fails(2, &["--listen has no meaning here", "WORKER_LISTEN"]);
    workspace.run("man --app-env prod").fails(2, &["--app-env has no meaning here"]);
    assert_eq!(std::fs::read_dir(workspace.directory.path()).unwrap().count(), 0);
}

#[test]
fn every_shell_gets_its_completions() {
    let workspace = Workspace::new();
    for name in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = workspace.run(&format!("completions {name}")).succeeds();
        assert!(script.contains("recount") && script.contains("percent-base"), "{name}");
    }
    workspace.run("completions tcsh").fails(2, &["bash"]);
}

#[test]
fn every_command_has_a_manual_page() {
    let workspace = Workspace::new();
    assert!(workspace.run("man").succeeds().contains(".TH throng"));
    let page = workspace.run("man poll create").succeeds();
    assert!(page.contains("throng\\-poll\\-create") && page.contains("percent\\-base"), "{page}");
    workspace.run("man poll erase").fails(1, &["no command `throng poll erase`"]);
    assert_eq!(workspace.run("man --output pages").succeeds(), "");
    for page in ["throng.1", "throng-poll.1", "throng-poll-recount.1", "throng-schema-status.1"] {
        assert!(workspace.path("pages").join(page).exists(), "{page}");
    }
}
