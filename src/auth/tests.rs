//! Tokens, files with users, sessions, and what a change of the file does.

use super::*;

fn key() -> SessionKey {
    SessionKey::derived(b"a key of tests")
}

fn line(name: &str, role: &str, token: &Token) -> String {
    let hash = token.hash();
    format!("[[users]]\nname = \"{name}\"\nrole = \"{role}\"\ntoken = \"{hash}\"\n")
}

/// A file with users, and what it is opened as.
fn opened(text: &str) -> (tempfile::TempDir, PathBuf, Arc<Auth>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("users.toml");
    std::fs::write(&path, text).unwrap();
    let auth = Auth::open(Source::File(path.clone()), key()).unwrap();
    (folder, path, auth)
}

#[test]
fn a_token_is_known_by_its_hash_alone() {
    let (anna, ben) = (Token::random().unwrap(), Token::random().unwrap());
    assert_ne!(anna.as_str(), ben.as_str());
    assert_eq!(anna.as_str().len(), "tl_".len() + 64, "256 bits");
    let text = line("anna", "admin", &anna) + &line("ben", "metrics", &ben);
    assert!(!text.contains(anna.as_str()));
    let (_folder, _, auth) = opened(&text);
    let caller = auth.by_token(ben.as_str()).unwrap();
    assert_eq!((caller.name.as_str(), caller.role), ("ben", Role::Metrics));
    assert_eq!(auth.by_token(anna.as_str()).unwrap().role, Role::Admin);
    let longer = format!("{}0", anna.as_str());
    for wrong in [
        "",
        "tl_",
        &anna.as_str()[..66],
        &longer,
        &anna.hash().to_string(),
    ] {
        assert_eq!(auth.by_token(wrong), None, "{wrong}");
    }
    assert_eq!(auth.by_token(auth.own_token()).unwrap().role, Role::Metrics);
}

#[test]
fn roles_are_an_order() {
    assert!(Role::Metrics < Role::Read && Role::Read < Role::Admin);
    for role in [Role::Metrics, Role::Read, Role::Admin] {
        assert_eq!(role.as_str().parse(), Ok(role));
    }
    assert!("root".parse::<Role>().is_err());
}

#[test]
fn what_is_wrong_with_a_file_is_told_without_its_secrets() {
    let token = Token::random().unwrap();
    let good = line("anna", "admin", &token);
    let hash = token.hash().to_string();
    let other = line("anna", "read", &Token::random().unwrap());
    let cases = [
        ("users = []".to_owned(), "no user"),
        (String::new(), "users"),
        (good.clone() + &other, "two users `anna`"),
        (
            good.clone() + &good.replace("anna", "ben"),
            "the same token",
        ),
        (good.replace("anna", "an na"), "name of user 1 is no name"),
        // A token in the wrong place.
        (good.replace("anna", token.as_str()), "is no name"),
        (good.replace("admin", token.as_str()), "unknown variant"),
        (good.replace("role", token.as_str()), "unknown field"),
        (good.replace("admin", "root"), "root"),
        (good.replace(&hash, token.as_str()), "hashes, not tokens"),
        (good.replace(&hash, &hash[..70]), "64 hexadecimal digits"),
        (good.replace("role", "roles"), "roles"),
        (good.clone() + "expires = 3\n", "expires"),
    ];
    for (text, told) in cases {
        let error = Users::parse(&text).unwrap_err();
        assert!(error.contains(told), "{text}\n{error}");
        assert!(
            !error.contains(token.as_str()) && !error.contains(&hash[..40]),
            "{error}"
        );
    }
}

#[test]
fn users_may_stand_among_the_settings() {
    let token = Token::random().unwrap();
    let text = line("anna", "read", &token).replace("[[users]]", "[[auth.users]]");
    let users = Users::parse_settings(&format!("workers = 4\n{text}")).unwrap();
    assert_eq!(
        users.of_token(&token.hash()).map(|it| it.role),
        Some(Role::Read)
    );
    assert!(Users::parse_settings("workers = 4").is_err());
}

#[test]
fn a_session_is_good_for_its_user_and_its_time() {
    let token = Token::random().unwrap();
    let text = line("a.b@c", "read", &token) + &line("ben", "admin", &Token::random().unwrap());
    let (_folder, path, auth) = opened(&text);
    let caller = auth.by_token(token.as_str()).unwrap();
    let session = auth.session(&caller, 1_000);
    assert_eq!(auth.by_session(&session, 999), Some(caller.clone()));
    assert_eq!(auth.by_session(&session, 1_000), None, "over");
    for forged in [
        session.replacen("a.b@c", "ben", 1),
        session.replacen("1000", "9000", 1),
        session[..session.len() - 1].to_owned(),
        String::new(),
        "a.b@c.1000.".to_owned(),
    ] {
        assert_eq!(auth.by_session(&forged, 999), None, "{forged}");
    }
    let elsewhere = Auth::open(Source::File(path.clone()), SessionKey::random().unwrap()).unwrap();
    assert_eq!(elsewhere.by_session(&session, 999), None, "another key");
    let renewed = Token::random().unwrap();
    std::fs::write(&path, line("a.b@c", "read", &renewed)).unwrap();
    auth.reload();
    assert_eq!(auth.by_session(&session, 999), None, "another token");
}

#[test]
fn a_key_is_kept_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state/session.key");
    let token = TokenHash::of("a token");
    let signed = SessionKey::kept(&path).unwrap().sign("anna", &token, 1);
    assert_eq!(
        SessionKey::kept(&path).unwrap().sign("anna", &token, 1),
        signed
    );
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let others = std::fs::Permissions::from_mode(0o640);
    std::fs::set_permissions(&path, others).unwrap();
    let error = SessionKey::kept(&path).err().expect("others can read it");
    assert!(error.to_string().contains("chmod 600"), "{error}");
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, "short").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    assert!(SessionKey::kept(&path).is_err());
    assert_eq!(
        std::fs::read_dir(path.parent().unwrap()).unwrap().count(),
        1,
        "nothing else is left"
    );
}

#[tokio::test]
async fn a_changed_file_is_in_force_and_a_wrong_one_is_not() {
    let (anna, ben) = (Token::random().unwrap(), Token::random().unwrap());
    let both = line("anna", "admin", &anna) + &line("ben", "read", &ben);
    let (_folder, path, auth) = opened(&both);
    let mut changed = auth.changed();
    let caller = auth.by_token(ben.as_str()).unwrap();
    auth.reload();
    assert!(!changed.has_changed().unwrap(), "nothing has changed");

    std::fs::write(&path, "[[users]]\nname = ").unwrap();
    auth.reload();
    assert!(auth.by_token(ben.as_str()).is_some(), "as before");
    assert!(auth.problem().unwrap().contains("users.toml"));

    std::fs::write(&path, line("anna", "admin", &anna)).unwrap();
    auth.reload();
    assert_eq!(auth.problem(), None);
    assert_eq!(auth.by_token(ben.as_str()), None);
    assert!(!auth.is_still(&caller));
    assert!(changed.has_changed().unwrap());
    changed.mark_unchanged();

    // A role that may less is another user in the middle of an answer; one that may more is not.
    std::fs::write(
        &path,
        both.replace("admin", "metrics")
            .replace("\"read\"", "\"admin\""),
    )
    .unwrap();
    let anna = auth.by_token(anna.as_str()).unwrap();
    auth.reload();
    assert!(auth.is_still(&caller) && !auth.is_still(&anna));

    std::fs::remove_file(&path).unwrap();
    auth.reload();
    assert_eq!(
        auth.count(),
        2,
        "a file that is gone lets nobody in and nobody out"
    );
}

#[test]
fn a_secret_proves_one_side_of_one_conversation() {
    let secret = Secret::new(b"0123456789abcdef0123456789abcdef").unwrap();
    let other = Secret::new(b"0123456789abcdef0123456789abcdeF").unwrap();
    let said: [&[u8]; 2] = [b"hello", b"nonce"];
    let proof = secret.prove(Side::Dialler, &said);
    assert!(secret.is_proved(Side::Dialler, &said, &proof));
    assert!(!secret.is_proved(Side::Listener, &said, &proof));
    assert!(!secret.is_proved(Side::Dialler, &[b"hellon", b"once"], &proof));
    assert!(!other.is_proved(Side::Dialler, &said, &proof));
    assert!(matches!(
        Secret::new(b"short"),
        Err(SecretError::Short { bytes: 5 })
    ));
    assert_eq!(format!("{secret:?}"), "***");
}
