//! Rewards at vendors that can be asked, over real HTTP against the sandbox, with the destinations that ship: what
//! became of a request whose answer never came (S3.09), what a vendor's own list
//! says; taking rewards back (S3.12); and answers that nobody can read, or that are about our credentials (S3.16).

#[path = "providers/asked.rs"]
mod asked;
#[path = "providers/listed.rs"]
mod listed;
#[path = "providers/office.rs"]
mod office;
#[path = "providers/taken_back.rs"]
mod taken_back;
#[path = "providers/unread.rs"]
mod unread;
