//! Texts and what is to become of them. All values are invented; those that look like keys are put
//! together here, so that no scanner of secrets takes this file for a leak.

/// As many letters and digits as asked for, in upper and lower case.
fn mixed(length: usize) -> String {
    "a7Qm4ZxK9bTv2LpR8cWs".chars().cycle().take(length).collect()
}

fn hex(length: usize) -> String {
    "9f3a07c4e1b8d265".chars().cycle().take(length).collect()
}

/// Base64url without padding of `text`, for the parts of a token.
fn encoded(text: &str) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut out = String::new();
    for chunk in text.as_bytes().chunks(3) {
        let word = chunk.iter().fold(0_u32, |sum, byte| sum << 8 | u32::from(*byte));
        let word = word << (8 * (3 - chunk.len()));
        for index in 0..=chunk.len() {
            out.push(char::from(DIGITS[(word >> (18 - 6 * index)) as usize & 63]));
        }
    }
    out
}

fn jwt() -> String {
    let (header, claims) = (r#"{"alg":"HS256","typ":"JWT"}"#, r#"{"sub":"77","exp":1795230855}"#);
    [encoded(header), encoded(claims), mixed(43)].join(".")
}

fn pem(label: &str) -> String {
    let line = mixed(64);
    format!("-----BEGIN {label}-----\n{line}\n{line}\nAb3=\n-----END {label}-----")
}

/// Keys that their prefix gives away.
fn keys() -> Vec<String> {
    let (m, h) = (mixed, hex);
    vec![
        ["sk-", &m(48)].concat(),
        ["sk-proj-", &m(40), "_", &m(20)].concat(),
        ["sk-ant-", "api03-", &m(80), "AA"].concat(),
        ["AI", "za", &m(35)].concat(),
        ["gh", "p_", &m(36)].concat(),
        ["gh", "o_", &m(36)].concat(),
        ["github", "_pat_", &m(22), "_", &m(59)].concat(),
        ["gl", "pat-", &m(20)].concat(),
        ["xo", "xb-", "123456789012-", &m(24)].concat(),
        ["xo", "xp-", "123456789012-", &m(32)].concat(),
        ["sk", "_live_", &m(24)].concat(),
        ["rk", "_live_", &m(24)].concat(),
        ["np", "m_", &m(36)].concat(),
        ["py", "pi-", "AgEIcHlwaS5vcmc", &m(60)].concat(),
        ["h", "f_", &m(34)].concat(),
        ["S", "K", &h(32)].concat(),
        ["S", "G.", &m(22), ".", &m(43)].concat(),
        ["dop", "_v1_", &h(64)].concat(),
        ["AK", "IA", "IOSFODNN7EXAMPLE"].concat(),
        ["AS", "IA", "IOSFODNN7EXAMPLE"].concat(),
        ["GOC", "SPX-", &m(28)].concat(),
        ["hv", "s.", &m(24)].concat(),
        ["c", "b_", &m(43)].concat(),
        [&h(32), ".", &m(43)].concat(),
    ]
}

/// Names and values, and the kind of what replaces them; `#` stands for the value.
fn values() -> Vec<(String, String)> {
    let m20 = mixed(20);
    let secret = [mixed(20), "/".into(), mixed(18), "+".into()].concat();
    let rows: Vec<(&str, &str, &str)> = vec![
        ("password=#", "hunter22", "PASSWORD"),
        ("user=bob passwd=# host=db1", "s3cr-t!", "PASSWORD"),
        ("DB_PASSWORD=#", "correcthorse", "PASSWORD"),
        ("spring.datasource.password: #", "p455w0rd", "PASSWORD"),
        ("{\"user\":\"bob\",\"password\":\"#\"}", "pa ss\\\"word, x", "PASSWORD"),
        ("{\\\"password\\\":\\\"#\\\",\\\"n\\\":1}", "hunter22", "PASSWORD"),
        ("{'pwd': '#'}", "hunter22", "PASSWORD"),
        ("Config(password=#, retries=3)", "hunter22", "PASSWORD"),
        ("/login?user=bob&password=#&next=/", "hunter22", "PASSWORD"),
        ("mysqldump --password #", "hunter22", "PASSWORD"),
        ("<password>#</password>", "hunter22", "PASSWORD"),
        ("smtp_pass: \"#\"", "1234", "PASSWORD"),
        ("Server=db;User Id=sa;Pwd=#;Encrypt=true", "Adm1n!", "PASSWORD"),
        ("postgres://app:#@db.example.com:5432/shop", "hunter22", "PASSWORD"),
        ("redis://:#@10.0.0.7:6379/0", "hunter22", "PASSWORD"),
        ("amqp://app:#@mq/%2f", "p@ss:word", "PASSWORD"),
        ("https://bob:#@git.example.com/x.git", "a/b1", "PASSWORD"),
        ("client_secret=#", &m20, "SECRET"),
        ("\"clientSecret\" : \"#\"", &m20, "SECRET"),
        ("aws_secret_access_key = #", &secret, "SECRET"),
        ("AWS_SECRET_ACCESS_KEY=#", &secret, "SECRET"),
        ("X-Api-Key: #", &m20, "SECRET"),
        ("apikey=#", "abcdef", "SECRET"),
        ("api_key: \"#\"", &m20, "SECRET"),
        ("access_key=#", &m20, "SECRET"),
        ("private_key: #", &m20, "SECRET"),
        ("token=#", "abc123", "SECRET"),
        ("\"access_token\":\"#\",\"expires_in\":3600", &m20, "SECRET"),
        ("auth_token: #", &m20, "SECRET"),
        ("secret=#", "letmein", "SECRET"),
        ("auth=#", &m20, "SECRET"),
        ("Authorization: Bearer #", &m20, "SECRET"),
        ("authorization: Basic #", "Ym9iOmh1bnRlcjIy", "SECRET"),
        ("curl -H 'Authorization: token #' https://x.example.com", &m20, "SECRET"),
        ("\"Authorization\":\"Bearer #\"", &m20, "SECRET"),
        ("Authorization: #", &m20, "SECRET"),
        ("rejected: Bearer # (expired)", &m20, "SECRET"),
        ("Cookie: sid=#; theme=no", &m20, "COOKIE"),
        ("Set-Cookie: session=#; Path=/; Max-Age=3600; HttpOnly", &m20, "COOKIE"),
        ("JSESSIONID=#", "0F3A9C1B7D2E4F60", "COOKIE"),
        ("callboard_refresh=#", "abcdefgh", "COOKIE"),
    ];
    filled(&rows)
}

/// The same for personal data.
fn personal() -> Vec<(String, String)> {
    filled(&[
        ("mail to # failed", "alice@example.com", "EMAIL"),
        ("from=<#>, size=512", "first.last+tag@mail.example.co.uk", "EMAIL"),
        ("\"email\":\"#\"", "bob@163.com", "EMAIL"),
        ("mailto:#", "jörg@müller.de", "EMAIL"),
        ("https://example.com/?mail=#&x=1", "bob@example.org", "EMAIL"),
        ("card # was declined", "4111111111111111", "CARD"),
        ("pan=#", "5555555555554444", "CARD"),
        ("paid with # today", "4111 1111 1111 1111", "CARD"),
        ("paid with #.", "5105-1051-0510-5100", "CARD"),
        ("amex #, ok", "378282246310005", "CARD"),
        ("amex #, ok", "3782 822463 10005", "CARD"),
        ("\"number\":\"#\"", "6011111111111117", "CARD"),
        ("old visa #", "4222222222222", "CARD"),
        ("jcb #", "3530111333300000", "CARD"),
        ("iban # please", "DE89370400440532013000", "IBAN"),
        ("iban # please", "GB29 NWBK 6016 1331 9268 19", "IBAN"),
        ("to: #", "NO9386011117947", "IBAN"),
        ("call # now", "+49 30 12345678", "PHONE"),
        ("call # now", "+1 (415) 555-2671", "PHONE"),
        ("call #, please", "+442071838750", "PHONE"),
        ("tel:#", "+33 1 42 68 53 00", "PHONE"),
        ("sms to #: 10.0.0.1 down", "+4915112345678", "PHONE"),
    ])
}

fn filled(rows: &[(&str, &str, &str)]) -> Vec<(String, String)> {
    let fill = |row: &str, value: &str| row.replacen('#', value, 1);
    let row = |(row, value, kind): &(&str, &str, &str)| {
        (fill(row, value), fill(row, &format!("<{kind}_1>")))
    };
    rows.iter().map(row).collect()
}

/// What looks like a secret or personal data and is none.
const NONE: &[&str] = &[
    "password=",
    "password=\"\"",
    "password: ",
    "password=***",
    "password=********",
    "pwd=xxxxxx",
    "password=[REDACTED]",
    "password=[FILTERED]",
    "password=null",
    "\"password\": true",
    "secret=false",
    "password=${DB_PASSWORD}",
    "password=$DB_PASSWORD",
    "password=%s",
    "password=<password>",
    "password={{ vault_password }}",
    "password={password}",
    "password: required",
    "Password: expired",
    "Failed password for root",
    "password changed for bob",
    "password authentication failed",
    "tokens=512",
    "token=512",
    "max_tokens: 4096",
    "prompt_tokens=17",
    "token_type=Bearer",
    "next_page_token=abcDEF123456",
    "unexpected token: foo1234bar",
    "token: foo is not allowed",
    "key=value",
    "primary_key=17",
    "cache_key=user:77",
    "public_key=abcdef0123456789abcdef",
    "private_key=/etc/ssl/private/web.pem",
    "ssl_key_file=/etc/ssl/web.key",
    "PWD=/home/bob",
    "auth=none",
    "auth: basic",
    "auth=10.0.0.1:389",
    "Authorization: Bearer <token>",
    "Authorization: Basic ***",
    "Bearer authentication required",
    "Basic authentication failed",
    "author=bob",
    "passed=17",
    "session=0x14ede63a5a70001",
    "session_id=77",
    "cookie: none",
    "sid=S-1-5-21-3623811015-3361044348-30300820-1013",
    "session=0193a5c4-4111-7111-8111-111111111111",
    "if password == other { }",
    "Token::new(x)",
    "http://10.0.0.1:8080/path@v2",
    "https://bob@example.com/x",
    "http://[::1]:8080/a@b",
    "https://example.com:8443/u/a@b",
    "git@github.com:example/shop.git",
    "root@localhost",
    "user@1000.service",
    "icon@2x.png",
    "react@18.2.0",
    "aes256-gcm@openssh.com",
    "scp bob@db1.example.com:/tmp/x .",
    "nn/host7.example.com@EXAMPLE.COM",
    "image@sha256:4f1d2c0a7b",
    "org.example.Main@1b6d3586.run",
    "@example.com",
    "bob@",
    "a @ b.com",
    "@Override",
    "4111111111111112",
    "14111111111111111",
    "4111111111111111a",
    "x4111111111111111",
    "0x4111111111111111",
    "4111111111111111.5",
    "id=4111111111111111",
    "trace_id: 4111111111111111",
    "blk_-1608999687919862906",
    "blk_4111111111111111",
    "1795230855123",
    "1795230855123456",
    "20261121031407123",
    "2026-11-21 03:14:07",
    "0193a5c4-4111-1111-1111-111111111111",
    "4111 1111 1111 1112",
    "4111-1111 1111-1111",
    "1234 4111 1111 1111 1111 0000 0000",
    "DE89370400440532013001",
    "DE8937040044053201300",
    "XX89370400440532013000",
    "ERROR WARN INFO DE89",
    "+0100",
    "UTC+02:00",
    "+1 2026-11-21 03:14",
    "+10.251.43.21",
    "+49.12.34.56",
    "delta +1795230855123",
    "+1234567890",
    "a+4915112345678",
    "2.5e+10",
    "v1.2.3+4915112345678",
    "1.0.0-rc.1+20261121",
    "-----BEGIN CERTIFICATE-----",
    "-----BEGIN PUBLIC KEY-----",
    "sk-learn",
    "task-12345678901234567890",
    "sk-this-is-only-a-long-slug",
    "disk-sk-a1",
    "cb_callback_function_name",
    "eyJ is how tokens begin",
    "eyJhbGciOi",
    "AKIA",
    "AIzaShort",
    "ghp_short",
    "npm_config_registry",
    "hf_hub_download",
    "SG.example",
    "SKU12345",
    "pypi-server",
    "xoxb-",
];

/// Texts and the expected outcome.
pub(super) fn all() -> Vec<(String, String)> {
    let mut all = values();
    all.extend(personal());
    for key in keys() {
        all.push((format!("using {key} now"), "using <KEY_1> now".to_owned()));
    }
    all.push((format!("got {}, ok", jwt()), "got <JWT_1>, ok".to_owned()));
    all.push((
        format!("Authorization: Bearer {}", jwt()),
        "Authorization: Bearer <SECRET_1>".to_owned(),
    ));
    for label in ["RSA PRIVATE KEY", "PRIVATE KEY", "OPENSSH PRIVATE KEY", "EC PRIVATE KEY"] {
        all.push((format!("key:\n{}\nend", pem(label)), "key:\n<PEM_1>\nend".to_owned()));
    }
    let escaped = pem("PRIVATE KEY").replace('\n', "\\n");
    all.push((format!("{{\"k\":\"{escaped}\"}}"), "{\"k\":\"<PEM_1>\"}".to_owned()));
    let whole = pem("PRIVATE KEY");
    let cut = whole.split("\n-----END").next().unwrap_or_default();
    all.push((format!("{cut}\n2026-11-21 next line"), "<PEM_1>\n2026-11-21 next line".to_owned()));
    all.push((cut[..120].to_owned(), "<PEM_1>".to_owned()));
    let azure = [mixed(86), "==".to_owned()].concat();
    all.push((
        format!("AccountName=a;AccountKey={azure};X=1"),
        "AccountName=a;AccountKey=<KEY_1>;X=1".into(),
    ));
    all.push((
        format!("open http://h:1/setup#{}", mixed(43)),
        "open http://h:1/setup#<KEY_1>".into(),
    ));
    all.push((
        "password=hunter22 again password=hunter22 other password=hunter23".to_owned(),
        "password=<PASSWORD_1> again password=<PASSWORD_1> other password=<PASSWORD_2>".to_owned(),
    ));
    all.push((
        "Cookie: a=1234abcd; theme=dark; b=***".to_owned(),
        "Cookie: a=<COOKIE_1>; theme=<COOKIE_2>; b=***".to_owned(),
    ));
    all.push((
        "Authorization: Digest username=\"bob\", response=\"9f3a07c4\"".to_owned(),
        "Authorization: Digest <SECRET_1>".to_owned(),
    ));
    all.extend(NONE.iter().map(|text| ((*text).to_owned(), (*text).to_owned())));
    all
}
