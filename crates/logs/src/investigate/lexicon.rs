//! What operations people call things, and what logs call them. Called by `question`.

use std::sync::LazyLock;

use regex::Regex;

use super::values::Kind;

/// A thing that people ask about, and the words that logs have for it.
pub(crate) struct Concept {
    /// For people.
    pub(crate) name: &'static str,
    /// How questions name it, as a regular expression over lower-case text.
    pub(crate) asked: &'static str,
    /// How logs name it.
    pub(crate) told: Told,
    /// Lines with one of these words tell of something else.
    pub(crate) except: &'static [&'static str],
    /// What to count when the question does not say.
    pub(crate) kinds: &'static [Kind],
}

/// How logs name a thing.
pub(crate) enum Told {
    /// In any of these phrases; each line is one event.
    Any(&'static [&'static str]),
    /// One event leaves lines of several groups. In each source the first group that occurs is
    /// taken, and the others are not counted on top.
    First(&'static [&'static [&'static str]]),
}

/// Programs that open sessions without anybody signing in.
const SESSIONS: &[&str] = &["su", "cron", "crond", "sudo", "runuser"];

/// The earlier ones are more particular, and win.
pub(crate) static CONCEPTS: [Concept; 18] = [
    Concept {
        name: "failed sign-ins",
        asked: r"\b(fail\w*|wrong|invalid|bad|unsuccessful\w*|reject\w*|refus\w*|den(y|ied)|could not|couldn't|cannot|can't|can not|unable|not able)( (a|an|to|at|their|any|all|ssh|sshd|root|user|remote|by|with|on|of|most|least|often|repeatedly)){0,4} (log(ged|ging)?[ -]?(in|on)s?|sign(ed)?[ -]?ins?|sign[ -]?in|auth\w*|passwords?|credentials?)\b|\b(log ?ins?|sign-?ins?|ssh|auth\w*|passwords?|credentials?)( (was|were|that|which|have|has|had|of|for|root|user|attempts?)){0,2} (fail\w*|errors?)\b|\bbrute[ -]?forc\w*( attempts?| attacks?)?\b",
        told: Told::First(&[
            &["Failed password"],
            &["authentication failure"],
            &[
                "Login incorrect",
                "login failed",
                "failed login",
                "logon failure",
                "authentication failed",
                "password authentication failed",
                "invalid credentials",
                "invalid password",
            ],
            &["Invalid user"],
        ]),
        except: &[],
        kinds: &[Kind::Ip, Kind::User],
    },
    Concept {
        name: "attempts to sign in",
        asked: r"\b(tr(y|ies|ied|ying)|attempt(s|ed|ing)?)( (to|at|an?|ssh|remote)){0,3} (log(ging)?[ -]?(in|on)s?|sign(ing)?[ -]?in|auth\w*|connect)\b|\b(log ?in|sign-?in|ssh|auth\w*|password) (attempt|tr(y|ie))s?\b",
        told: Told::First(&[
            &["Failed password", "Accepted password", "Accepted publickey"],
            &["authentication failure", "session opened"],
            &["login failed", "failed login", "login successful", "logged in"],
        ]),
        except: SESSIONS,
        kinds: &[Kind::Ip, Kind::User],
    },
    Concept {
        name: "sign-ins",
        asked: r"\b(success\w* )?(log(ged|ging)?[ -]?(in|on)s?|sign(ed)?[ -]?ins?|log ?ins?|accepted passwords?|(get|gets|got|getting|gotten|break|broke|broken|breaking) in(to)?)\b|\bintru\w+|\bcompromis\w+|\bhack(ed|ers?|ing)\b",
        told: Told::First(&[
            &["Accepted password", "Accepted publickey", "Accepted keyboard-interactive"],
            &["session opened"],
            &["login successful", "logged in", "logged on"],
        ]),
        except: SESSIONS,
        kinds: &[Kind::User, Kind::Ip],
    },
    Concept {
        name: "sign-outs",
        asked: r"\b(log(ged|ging)?|sign(ed|ing)?)[ -]?outs?\b|\blog-?offs?\b",
        told: Told::First(&[
            &["session closed"],
            &["logged out", "logout"],
            &["Disconnected from user"],
        ]),
        except: SESSIONS,
        kinds: &[Kind::User],
    },
    Concept {
        name: "refused connections",
        asked: r"\b(connections?|connects?)( \w+){0,2} refus\w*|\brefus\w*( \w+){0,2} connections?\b|\brefused\b",
        told: Told::Any(&[
            "connection refused",
            "refused connect",
            "ECONNREFUSED",
            "Connection was refused",
        ]),
        except: &[],
        kinds: &[Kind::Ip],
    },
    Concept {
        name: "timeouts",
        asked: r"\btime[ -]?outs?\b|\b(timed|timing) out\b",
        told: Told::Any(&["timed out", "timeout", "time out", "ETIMEDOUT", "deadline exceeded"]),
        except: &[],
        kinds: &[Kind::Ip],
    },
    Concept {
        name: "lost connections",
        asked: r"\b(connections?|clients?|peers?)( \w+){0,2} (reset|lost|dropped|broken?|closed|abort\w*)\b|\b(reset|lost|dropped|broken|closed)( \w+){0,1} connections?\b|\bdisconnect\w*",
        told: Told::Any(&[
            "connection reset",
            "ECONNRESET",
            "reset by peer",
            "broken pipe",
            "connection closed",
            "closed connection",
            "connection lost",
            "connection broken",
            "connection aborted",
            "disconnected",
            "received disconnect",
        ]),
        except: &[],
        kinds: &[Kind::Ip],
    },
    Concept {
        name: "memory exhausted",
        asked: r"\bout of memory\b|\boom([ -]?kill\w*)?\b|\bmemory( \w+){0,2} (exhaust\w*|full|short\w*)\b|\b(ran|run|running) out of memory\b",
        told: Told::Any(&[
            "out of memory",
            "OutOfMemoryError",
            "oom-killer",
            "oom_reaper",
            "cannot allocate memory",
            "Killed process",
        ]),
        except: &[],
        kinds: &[Kind::Process],
    },
    Concept {
        name: "disk full",
        asked: r"\bdisks?( \w+){0,2} (full|space)\b|\bno space\b|\bfull disks?\b|\bout of (disk )?space\b",
        told: Told::Any(&[
            "No space left",
            "disk full",
            "ENOSPC",
            "file system full",
            "filesystem full",
            "disk quota exceeded",
        ]),
        except: &[],
        kinds: &[Kind::Path],
    },
    Concept {
        name: "crashes",
        asked: r"\bcrash\w*|\bpanic\w*|\bsegfault\w*|\bcore dump\w*|\babort\w*",
        told: Told::Any(&[
            "crash",
            "crashed",
            "panic",
            "panicked",
            "segfault",
            "segmentation fault",
            "core dumped",
            "aborted",
            "killed by signal",
            "exited abnormally",
        ]),
        except: &[],
        kinds: &[Kind::Process],
    },
    Concept {
        name: "exceptions",
        asked: r"\bexceptions?\b|\bstack ?traces?\b|\btracebacks?\b",
        told: Told::Any(&["exception", "traceback"]),
        except: &[],
        kinds: &[Kind::Component],
    },
    Concept {
        name: "unknown users",
        asked: r"\b(invalid|unknown|illegal|non-?existent) (users?|user ?names?|accounts?)\b",
        told: Told::First(&[&["Invalid user", "Illegal user"], &["user unknown", "unknown user"]]),
        except: &[],
        kinds: &[Kind::User, Kind::Ip],
    },
    Concept {
        name: "refused permissions",
        asked: r"\bpermissions?\b|\baccess( \w+){0,2} denied\b|\bdenied\b|\bforbidden\b|\bunauthori[sz]ed\b",
        told: Told::Any(&[
            "permission denied",
            "access denied",
            "denied",
            "forbidden",
            "unauthorized",
            "not permitted",
            "not allowed",
        ]),
        except: &[],
        kinds: &[Kind::Ip, Kind::User],
    },
    Concept {
        name: "slowness",
        asked: r"\bslow\w*|\blatenc(y|ies)\b|\blagg?(ing|y)?\b|\boverload\w*",
        told: Told::Any(&[
            "slow",
            "slowly",
            "took too long",
            "latency",
            "lagging",
            "overloaded",
            "overload",
        ]),
        except: &[],
        kinds: &[Kind::Path],
    },
    Concept {
        name: "server errors (5xx)",
        asked: r"\b5xx\b|\b(http|server) errors?\b|\b(5\d\d) (errors?|responses?|status\w*)\b|\bstatus (code )?5\d\d\b",
        told: Told::Any(&[
            "HTTP/1.1 500",
            "HTTP/1.1 502",
            "HTTP/1.1 503",
            "HTTP/1.1 504",
            "HTTP/1.0 500",
            "HTTP/1.0 502",
            "HTTP/1.0 503",
            "HTTP/1.0 504",
            "HTTP/2.0 500",
            "HTTP/2.0 502",
            "HTTP/2.0 503",
            "HTTP/2.0 504",
        ]),
        except: &[],
        kinds: &[Kind::Status, Kind::Path],
    },
    Concept {
        name: "restarts",
        asked: r"\brestart\w*|\breboot\w*|\bboot(s|ed|ing)?\b",
        told: Told::Any(&[
            "restart",
            "restarted",
            "restarting",
            "reboot",
            "rebooted",
            "rebooting",
            "booting",
            "starting up",
            "shutting down",
            "resuming normal operations",
            "Linux version",
        ]),
        except: &[],
        kinds: &[Kind::Process],
    },
    Concept {
        name: "stops",
        asked: r"\bstop(s|ped|ping)?\b|\bshut\w* ?downs?\b|\bexit(s|ed)?\b|\bterminat\w*",
        told: Told::Any(&[
            "stopped",
            "stopping",
            "shutdown",
            "shutting down",
            "terminated",
            "terminating",
            "exited",
            "exiting",
            "exits",
        ]),
        except: &[],
        kinds: &[Kind::Process],
    },
    Concept {
        name: "starts",
        asked: r"\bstart(s|ed|ing)?\b|\bstart-?ups?\b",
        told: Told::Any(&["started", "starting", "startup", "starts", "listening on"]),
        except: &[],
        kinds: &[Kind::Process],
    },
];

/// What lines say of a fault when their level does not.
pub(crate) const FAULTS: &[&str] = &[
    "error",
    "failed",
    "failure",
    "fatal",
    "exception",
    "panic",
    "critical",
    "abnormally",
    "unable to",
    "cannot",
    "could not",
];

/// The places of these two in [`CONCEPTS`]: whoever failed to sign in, and then did not fail, is
/// asked for as one thing.
pub(crate) const FAILED_SIGN_INS: usize = 0;
pub(crate) const SIGN_INS: usize = 2;

/// The expressions of [`CONCEPTS`], in its order.
pub(crate) static ASKED: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    CONCEPTS.iter().map(|concept| super::values::pattern(concept.asked)).collect()
});

/// Words of a question that say nothing about the lines.
const STOP_WORDS: &str = "\
    a about after again all also am an and any anybody anyone anything appear appeared appears are as at be been before being between \
    both but by can cause caused causes could count counts day detail details did do does doing \
    during each either else entire entries entry environment event events ever every \
    everything everyone everywhere find first for frequent frequently from full general get give go going \
    got had happen happened happening happens has have how however i if in infrastructure interesting into is \
    it its just kind kinds last latest least line lines list log logs look looking logged lot many me message \
    messages more most much my named near need never new no nor not now nobody number neither occur occurred \
    occurrences occurs of off often on one only or order our over overview own particular per \
    please recent recently report reported said same say saw see seen should show since so some \
    someone something sort still strange successful successfully such summarise summarize summary system systems tell than that \
    the their them then there these they thing things this those time times to today together too \
    top total tried try trying type types until unusual up us very want was we were what when where whether \
    which while who whom whose why will with within without would yet you your";

/// Whether a word of a question says nothing about the lines.
pub(crate) fn is_stop_word(word: &str) -> bool {
    STOP_WORDS.split_ascii_whitespace().any(|known| known == word)
}

/// Other forms of an English word that a log may have: `crashes`, `crashed` and `crashing` for
/// `crash`, `sshd` for `ssh`. Most of them are no words; the index knows which occur.
pub(crate) fn forms(word: &str) -> Vec<String> {
    let is_plain = word.len() >= 3 && word.bytes().all(|byte| byte.is_ascii_alphabetic());
    if !is_plain {
        return Vec::new();
    }
    let word = word.to_ascii_lowercase();
    let stem_of = |ending: &str, more: &str| {
        let stem = word.strip_suffix(ending).filter(|stem| stem.len() >= 3)?;
        Some(format!("{stem}{more}"))
    };
    let mut stems = vec![word.clone()];
    stems.extend(stem_of("ies", "y"));
    let plurals = ["es", "s"].iter().filter(|_| !word.ends_with("ss"));
    stems.extend(plurals.filter_map(|ending| stem_of(ending, "")));
    for ending in ["ed", "ing"].iter().filter(|_| word.len() > 5) {
        stems.extend(stem_of(ending, "").into_iter().chain(stem_of(ending, "e")));
    }
    let mut forms: Vec<String> = Vec::new();
    for stem in &stems {
        let short = stem.strip_suffix('e').unwrap_or(stem);
        let plural = stem.strip_suffix('y').map(|stem| format!("{stem}ies"));
        let long = if word.len() >= 4 { &["es", "ed", "ing"][..] } else { &[] };
        forms.push(stem.clone());
        forms.extend(["s", "d"].map(|ending| format!("{stem}{ending}")));
        forms.extend(long.iter().map(|ending| format!("{short}{ending}")));
        forms.extend(plural);
    }
    forms.sort_unstable();
    forms.dedup();
    forms.retain(|form| *form != word);
    forms
}

/// What people call things, and what logs have for them, in the form that stands in a log.
const SYNONYMS: [(&str, &[&str]); 38] = [
    ("attacker", &["intruder", "invalid", "root"]),
    ("back", &["started", "recovered", "restored"]),
    ("blocked", &["waits", "locked", "deadlock"]),
    ("changed", &["migration", "modified", "altered"]),
    ("config", &["configuration"]),
    ("configuration", &["config"]),
    ("connections", &["clients"]),
    ("cpu", &["processor"]),
    ("degraded", &["failure", "disabling", "degraded"]),
    ("deployed", &["deploy", "release", "rollout", "rolled"]),
    ("download", &["curl", "wget", "fetch"]),
    ("drive", &["disk"]),
    ("expire", &["expired", "notafter"]),
    ("hang", &["stuck", "hung", "blocked"]),
    ("heat", &["temperature", "thermal", "throttled"]),
    ("leak", &["heap", "gc"]),
    ("network", &["link", "interface", "eth0"]),
    ("overheat", &["temperature", "thermal", "throttled"]),
    ("package", &["apt", "dpkg", "yum", "upgraded"]),
    ("piling", &["backlog", "lag"]),
    ("processor", &["cpu", "cpu0", "cpu1", "cpu2"]),
    ("raid", &["md0", "md1", "mdadm"]),
    ("reach", &["connection", "unreachable", "refused"]),
    ("refuse", &["rejected", "denied", "refused"]),
    ("reload", &["reload", "reloaded", "reread"]),
    ("replaced", &["renewed"]),
    ("restart", &["reboot", "rebooted"]),
    ("reverted", &["rollback", "rolled"]),
    ("rollback", &["rolled", "revert", "reverted"]),
    ("schema", &["migration"]),
    ("slow", &["took", "duration", "slow"]),
    ("ssl", &["tls", "certificate"]),
    ("stopped", &["exited", "terminated", "shutdown"]),
    ("storage", &["disk", "space", "volume"]),
    ("updated", &["upgraded", "upgrade"]),
    ("upgrade", &["upgraded", "updated"]),
    ("vacuum", &["autovacuum"]),
    ("zero", &["negative"]),
];

/// Other words for a word, or for one of its forms.
pub(crate) fn synonyms(word: &str) -> impl Iterator<Item = String> {
    let word = word.to_lowercase();
    let forms = forms(&word);
    let same = move |known: &&str| *known == word || forms.iter().any(|form| form == known);
    let found = SYNONYMS.iter().filter(move |(known, _)| same(known));
    found.flat_map(|(_, words)| *words).map(|word| (*word).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_a_word_are_those_that_logs_have() {
        for (word, form) in [
            ("crash", "crashes"),
            ("crashes", "crash"),
            ("crashed", "crashing"),
            ("retry", "retries"),
            ("retries", "retry"),
            ("evict", "evicted"),
            ("delete", "deleting"),
            ("deleting", "delete"),
            ("ssh", "sshd"),
            ("users", "user"),
            ("addresses", "address"),
        ] {
            assert!(forms(word).contains(&form.to_owned()), "{word}: {:?}", forms(word));
        }
        assert!(!forms("address").contains(&"addres".to_owned()));
        assert!(forms("10.0.0.1").is_empty() && forms("mod_jk").is_empty());
    }

    #[test]
    fn things_have_other_names() {
        let of = |word: &str| synonyms(word).collect::<Vec<_>>();
        assert_eq!(of("processor"), ["cpu", "cpu0", "cpu1", "cpu2"]);
        assert_eq!(of("restarted"), ["reboot", "rebooted"]);
        assert!(of("packages").contains(&"dpkg".to_owned()));
        assert!(of("payments").is_empty() && of("order").is_empty() && of("").is_empty());
    }

    #[test]
    fn the_named_concepts_are_where_they_are_said_to_be() {
        assert_eq!(CONCEPTS[FAILED_SIGN_INS].name, "failed sign-ins");
        assert_eq!(CONCEPTS[SIGN_INS].name, "sign-ins");
    }
}
