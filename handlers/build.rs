//! Makes sure that the folder of the built page exists, so that the crate compiles before the page
//! was ever built, and that it compiles again when the page was.

fn main() {
    // When this fails (a read-only checkout), the page is embedded if it is there, and else not.
    let _exists = std::fs::create_dir_all("../web/dist");
    println!("cargo::rerun-if-changed=../web/dist");
    println!("cargo::rerun-if-changed=build.rs");
}
