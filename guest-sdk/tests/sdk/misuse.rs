//! What the compiler says when `#[handler]` is misused: each program in `misuse/` has its message
//! beside it. `TRYBUILD=overwrite` writes the messages anew.

#[test]
fn each_misuse_is_explained_at_the_code() {
    trybuild::TestCases::new().compile_fail("tests/sdk/misuse/*.rs");
}
